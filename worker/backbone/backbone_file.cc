#include "worker/backbone/backbone_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/backbone/tensor_file.h"

namespace arcshard::worker {
namespace {

// Explains a linear layer of another shape. Only linear layers have tensors of two dimensions.
std::string Hint(const TensorSpec& expected, const std::vector<int64_t>& found) {
  if (expected.shape.size() != 2 || found.size() != 2) return "";
  if (found[0] != expected.shape[0]) {
    return absl::StrCat(" (the file's embeddings have ", found[0], " dimensions: set backbone.embedding_size to that)");
  }
  return " (the file was made for another data.image_size)";
}

// Checks that the file has exactly the tensors of the state.
absl::Status CheckEntries(const SafetensorsFile& file, const Backbone& backbone) {
  const std::string& network = backbone.options().name;
  const auto name = file.metadata().find("backbone");
  if (name != file.metadata().end() && name->second != network) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": holds the backbone ", name->second, "; this one is ",
                                                   network, " (backbone.name)"));
  }
  for (const NamedTensor& named : backbone.state_dict()) {
    const TensorSpec spec = SpecOf(named);
    const auto found = file.entries().find(named.name);
    if (found == file.entries().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path(), ": tensor \"", named.name, "\" of ", network, " is missing"));
    }
    const SafetensorsFile::Entry& entry = found->second;
    if (entry.dtype != spec.dtype || entry.shape != spec.shape) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path(), ": tensor \"", named.name, "\" is ", DescribeTensor(entry.dtype, entry.shape),
                       "; this ", network, " needs ", DescribeTensor(spec.dtype, spec.shape), Hint(spec, entry.shape)));
    }
  }
  if (file.entries().size() == backbone.state_dict().size()) return absl::OkStatus();
  auto unexpected = file.entries();
  for (const NamedTensor& named : backbone.state_dict()) unexpected.erase(named.name);
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor \"", unexpected.begin()->first,
                                                 "\" is not one of ", network, ", which has ",
                                                 backbone.state_dict().size(), " tensors"));
}

absl::Status ReadNumber(const SafetensorsFile& file, const std::string& key, int64_t* out) {
  const auto found = file.metadata().find(key);
  if (found != file.metadata().end() && absl::SimpleAtoi(found->second, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": its metadata has no number for the backbone's \"", key, "\""));
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

}  // namespace

SafetensorsMetadata BackboneMetadata(const Backbone& backbone, SafetensorsMetadata metadata) {
  const BackboneOptions& options = backbone.options();
  metadata["backbone"] = options.name;
  metadata["width"] = absl::StrCat(options.width);
  metadata["image_size"] = absl::StrCat(options.image_size);
  metadata["embedding_size"] = absl::StrCat(options.embedding_size);
  metadata["format"] = "pt";  // other readers of state_dicts expect it
  return metadata;
}

absl::Status SaveBackbone(const Backbone& backbone, const std::string& path, SafetensorsMetadata metadata,
                          const std::function<absl::Status()>& may_appear) {
  std::vector<NamedTensor> tensors = backbone.state_dict();
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return a.tensor.element_size() > b.tensor.element_size();  // wide types first, as the format wants it
  });
  std::vector<TensorSpec> specs;
  for (const NamedTensor& named : tensors) specs.push_back(SpecOf(named));
  ASSIGN_OR_RETURN(SafetensorsWriter writer,
                   SafetensorsWriter::Create(path, specs, BackboneMetadata(backbone, std::move(metadata))));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor values = tensors[i].tensor.detach().cpu().contiguous();
    RETURN_IF_ERROR(writer.AppendBytes(specs[i].name, specs[i].dtype, BytesOf(values)));
  }
  if (may_appear) RETURN_IF_ERROR(may_appear());
  return writer.Finish();
}

absl::Status LoadBackbone(const SafetensorsFile& file, Backbone* backbone) {
  RETURN_IF_ERROR(CheckEntries(file, *backbone));
  return ReadTensors(file, backbone->state_dict());
}

absl::Status LoadBackbone(const std::string& path, Backbone* backbone) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  return LoadBackbone(file, backbone);
}

absl::StatusOr<std::unique_ptr<Backbone>> OpenBackbone(const std::string& path) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(BackboneOptions options, ReadOptions(file));
  // The shapes are compared first, so that damaged metadata can't make us allocate more memory than the file has bytes.
  options.shapes_only = true;
  const absl::StatusOr<std::unique_ptr<Backbone>> shapes = CreateBackbone(options);
  if (!shapes.ok()) return Annotate(shapes.status(), path);
  RETURN_IF_ERROR(CheckEntries(file, **shapes));
  options.shapes_only = false;
  ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone, CreateBackbone(options));
  RETURN_IF_ERROR(LoadBackbone(file, backbone.get()));
  return backbone;
}

}  // namespace arcshard::worker
