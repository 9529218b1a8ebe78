#include "worker/backbone/tensor_file.h"

#include <algorithm>
#include <cassert>

#include "ATen/ops/empty.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "c10/core/GradMode.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {
namespace {

template <typename T>
absl::Status ReadInto(const SafetensorsFile& file, const std::string& name, const at::Tensor& out) {
  ASSIGN_OR_RETURN(const std::vector<T> values, file.Read<T>(name));
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<T>());
  return absl::OkStatus();
}

absl::Status CheckEntry(const SafetensorsFile& file, const TensorSpec& spec) {
  const auto found = file.entries().find(spec.name);
  if (found == file.entries().end()) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor \"", spec.name, "\" is missing"));
  }
  const SafetensorsFile::Entry& entry = found->second;
  if (entry.dtype == spec.dtype && entry.shape == spec.shape) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor \"", spec.name, "\" is ",
                                                 DescribeTensor(entry.dtype, entry.shape), ", not ",
                                                 DescribeTensor(spec.dtype, spec.shape)));
}

}  // namespace

TensorSpec SpecOf(const NamedTensor& named) {
  const TensorDtype dtype = named.tensor.scalar_type() == at::kLong ? TensorDtype::kI64 : TensorDtype::kF32;
  return {named.name, dtype, named.tensor.sizes().vec()};
}

absl::Span<const std::byte> BytesOf(const at::Tensor& tensor) {
  assert(tensor.is_cpu() && tensor.is_contiguous());
  return absl::MakeConstSpan(static_cast<const std::byte*>(tensor.const_data_ptr()),
                             static_cast<size_t>(tensor.nbytes()));
}

std::string DescribeTensor(TensorDtype dtype, const std::vector<int64_t>& shape) {
  return absl::StrCat(DtypeName(dtype), " of shape [", absl::StrJoin(shape, ", "), "]");
}

absl::Status ReadTensors(const SafetensorsFile& file, absl::Span<const NamedTensor> tensors) {
  c10::NoGradGuard no_grad;
  std::vector<at::Tensor> read;
  for (const NamedTensor& named : tensors) {
    const TensorSpec spec = SpecOf(named);
    RETURN_IF_ERROR(CheckEntry(file, spec));
    read.push_back(at::empty(named.tensor.sizes(), at::TensorOptions(named.tensor.scalar_type())));
    RETURN_IF_ERROR(spec.dtype == TensorDtype::kI64 ? ReadInto<int64_t>(file, spec.name, read.back())
                                                    : ReadInto<float>(file, spec.name, read.back()));
  }
  for (size_t i = 0; i < read.size(); ++i) tensors[i].tensor.copy_(read[i]);
  return absl::OkStatus();
}

}  // namespace arcshard::worker
