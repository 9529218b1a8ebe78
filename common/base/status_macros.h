#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

// RETURN_IF_ERROR(expression of absl::Status);
#define RETURN_IF_ERROR(expression)                                                              \
  do {                                                                                           \
    if (absl::Status status_of_call = (expression); !status_of_call.ok()) return status_of_call; \
  } while (false)

// ASSIGN_OR_RETURN(declaration or lvalue, expression of absl::StatusOr<T>);
#define ASSIGN_OR_RETURN(lhs, expression) \
  ARCSHARD_ASSIGN_OR_RETURN_(ARCSHARD_CONCAT_(status_or_, __LINE__), lhs, expression)

#define ARCSHARD_ASSIGN_OR_RETURN_(value, lhs, expression) \
  auto value = (expression);                               \
  if (!value.ok()) return std::move(value).status();       \
  lhs = *std::move(value)
#define ARCSHARD_CONCAT_(a, b) ARCSHARD_CONCAT_INNER_(a, b)
#define ARCSHARD_CONCAT_INNER_(a, b) a##b

namespace arcshard {

// The same code and payloads, with "context: " before the message.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  std::string message(context);
  message.append(": ").append(status.message().data(), status.message().size());
  absl::Status annotated(status.code(), message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace arcshard
