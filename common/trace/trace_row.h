#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/trace/tracer.h"

namespace arcshard {

// A row of a process's trace, for spans that follow or contain one another: of one thread, or of one peer. A row of no
// trace takes spans too and costs a comparison. Thread-safe.
class TraceRow {
 public:
  TraceRow() = default;
  // Rows of the same name are the same row. tracer: outlives the row; null: there is no trace.
  TraceRow(Tracer* tracer, const std::string& name)
      : tracer_(tracer), row_(tracer == nullptr ? 0 : tracer->RowOf(name)) {}

  explicit operator bool() const { return tracer_ != nullptr; }
  // The time for the trace; without one the clock is not read, and the result means nothing.
  MonotonicTime Now() const { return tracer_ == nullptr ? MonotonicTime() : tracer_->Now(); }

  // name: a literal.
  void Add(absl::string_view name, MonotonicTime begin, MonotonicTime end, const SpanDetails& details = {}) const {
    if (tracer_ != nullptr) tracer_->Add({name, row_, begin, end, details});
  }

 private:
  Tracer* tracer_ = nullptr;
  uint32_t row_ = 0;
};

// A span from its construction to its destruction.
class TraceSpan {
 public:
  TraceSpan(const TraceRow& row, absl::string_view name, const SpanDetails& details = {})
      : row_(row), name_(name), details_(details), begin_(row.Now()) {}
  ~TraceSpan() { row_.Add(name_, begin_, row_.Now(), details_); }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  const TraceRow row_;
  const absl::string_view name_;
  const SpanDetails details_;
  const MonotonicTime begin_;
};

}  // namespace arcshard
