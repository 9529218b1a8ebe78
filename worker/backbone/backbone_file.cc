#include "worker/backbone/backbone_file.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "ATen/ops/empty_like.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "c10/core/GradMode.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {
namespace {

TensorSpec SpecOf(const NamedTensor& named) {
  const TensorDtype dtype = named.tensor.scalar_type() == at::kLong ? TensorDtype::kI64 : TensorDtype::kF32;
  return {named.name, dtype, named.tensor.sizes().vec()};
}

std::string Describe(TensorDtype dtype, const std::vector<int64_t>& shape) {
  return absl::StrCat(DtypeName(dtype), " of shape [", absl::StrJoin(shape, ", "), "]");
}

// What a linear layer of another shape tells: they are the only tensors of two dimensions.
std::string Hint(const TensorSpec& expected, const std::vector<int64_t>& found) {
  if (expected.shape.size() != 2 || found.size() != 2) return "";
  if (found[0] != expected.shape[0]) {
    return absl::StrCat(" (the file's embeddings have ", found[0], " dimensions: set backbone.embedding_size to that)");
  }
  return " (the file is of another data.image_size)";
}

// The file holds exactly the tensors of the state.
absl::Status CheckEntries(const SafetensorsFile& file, const Backbone& backbone) {
  const std::string& network = backbone.options().name;
  for (const NamedTensor& named : backbone.state_dict()) {
    const TensorSpec spec = SpecOf(named);
    const auto found = file.entries().find(named.name);
    if (found == file.entries().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path(), ": tensor \"", named.name, "\" of ", network, " is missing"));
    }
    const SafetensorsFile::Entry& entry = found->second;
    if (entry.dtype != spec.dtype || entry.shape != spec.shape) {
      return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor \"", named.name, "\" is ",
                                                     Describe(entry.dtype, entry.shape), "; this ", network, " needs ",
                                                     Describe(spec.dtype, spec.shape), Hint(spec, entry.shape)));
    }
  }
  if (file.entries().size() == backbone.state_dict().size()) return absl::OkStatus();
  auto unexpected = file.entries();
  for (const NamedTensor& named : backbone.state_dict()) unexpected.erase(named.name);
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor \"", unexpected.begin()->first,
                                                 "\" is not one of ", network, ", which has ",
                                                 backbone.state_dict().size(), " tensors"));
}

template <typename T>
absl::Status ReadInto(const SafetensorsFile& file, const std::string& name, const at::Tensor& out) {
  ASSIGN_OR_RETURN(const std::vector<T> values, file.Read<T>(name));
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<T>());
  return absl::OkStatus();
}

absl::Status ReadNumber(const SafetensorsFile& file, const std::string& key, int64_t* out) {
  const auto found = file.metadata().find(key);
  if (found != file.metadata().end() && absl::SimpleAtoi(found->second, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": its metadata does not say the backbone's \"", key, "\" as a number"));
}

absl::StatusOr<BackboneOptions> ReadOptions(const SafetensorsFile& file) {
  BackboneOptions options;
  const auto name = file.metadata().find("backbone");
  if (name == file.metadata().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": its metadata does not name a \"backbone\", so it was not saved by arcshard"));
  }
  options.name = name->second;
  RETURN_IF_ERROR(ReadNumber(file, "width", &options.width));
  RETURN_IF_ERROR(ReadNumber(file, "image_size", &options.image_size));
  RETURN_IF_ERROR(ReadNumber(file, "embedding_size", &options.embedding_size));
  return options;
}

absl::Status Load(const SafetensorsFile& file, Backbone* backbone) {
  RETURN_IF_ERROR(CheckEntries(file, *backbone));
  c10::NoGradGuard no_grad;
  std::vector<at::Tensor> loaded;
  for (const NamedTensor& named : backbone->state_dict()) {
    loaded.push_back(
        at::empty_like(named.tensor, named.tensor.options().device(at::kCPU), at::MemoryFormat::Contiguous));
    const bool is_counter = named.tensor.scalar_type() == at::kLong;
    RETURN_IF_ERROR(is_counter ? ReadInto<int64_t>(file, named.name, loaded.back())
                               : ReadInto<float>(file, named.name, loaded.back()));
  }
  for (size_t i = 0; i < loaded.size(); ++i) backbone->state_dict()[i].tensor.copy_(loaded[i]);
  return absl::OkStatus();
}

}  // namespace

absl::Status SaveBackbone(const Backbone& backbone, const std::string& path, SafetensorsMetadata metadata) {
  const BackboneOptions& options = backbone.options();
  metadata["backbone"] = options.name;
  metadata["width"] = absl::StrCat(options.width);
  metadata["image_size"] = absl::StrCat(options.image_size);
  metadata["embedding_size"] = absl::StrCat(options.embedding_size);
  metadata["format"] = "pt";  // what other readers of state_dicts look for
  std::vector<at::Tensor> kept;
  std::vector<TensorView> views;
  for (const NamedTensor& named : backbone.state_dict()) {
    kept.push_back(named.tensor.detach().cpu().contiguous());
    views.push_back({SpecOf(named), absl::MakeConstSpan(static_cast<const std::byte*>(kept.back().const_data_ptr()),
                                                        static_cast<size_t>(kept.back().nbytes()))});
  }
  return WriteSafetensors(path, std::move(views), metadata);
}

absl::Status LoadBackbone(const std::string& path, Backbone* backbone) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  return Load(file, backbone);
}

absl::StatusOr<std::unique_ptr<Backbone>> OpenBackbone(const std::string& path) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(BackboneOptions options, ReadOptions(file));
  // A few bytes of metadata must not make us allocate more than the file holds: the shapes are compared first.
  options.shapes_only = true;
  const absl::StatusOr<std::unique_ptr<Backbone>> shapes = CreateBackbone(options);
  if (!shapes.ok()) return Annotate(shapes.status(), path);
  RETURN_IF_ERROR(CheckEntries(file, **shapes));
  options.shapes_only = false;
  ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone, CreateBackbone(options));
  RETURN_IF_ERROR(Load(file, backbone.get()));
  return backbone;
}

}  // namespace arcshard::worker
