#include "worker/backbone/testing/recorded_case.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "ATen/ops/empty.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace arcshard::worker {
namespace {

template <typename T>
T Take(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::abort();
}

}  // namespace

RecordedCase::RecordedCase(const std::string& path) : file_(Take(SafetensorsFile::Open(path))) {}

at::Tensor RecordedCase::Tensor(const std::string& name) const {
  const std::vector<float> values = Take(file_.Read<float>(name));
  const at::Tensor tensor = at::empty(Take(file_.Find(name))->shape, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

std::string RecordedCase::Text(const std::string& key) const {
  const auto found = file_.metadata().find(key);
  const bool is_there = found != file_.metadata().end();
  return Take(is_there ? absl::StatusOr<std::string>(found->second)
                       : absl::NotFoundError(absl::StrCat(file_.path(), " has no \"", key, "\"")));
}

double RecordedCase::Number(const std::string& key) const {
  double number = 0;
  const bool is_number = absl::SimpleAtod(Text(key), &number);
  return Take(is_number ? absl::StatusOr<double>(number)
                        : absl::InvalidArgumentError(absl::StrCat(file_.path(), ": \"", key, "\" is no number")));
}

}  // namespace arcshard::worker
