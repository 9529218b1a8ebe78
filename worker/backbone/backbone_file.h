#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/safetensors.h"
#include "worker/backbone/backbone.h"

// Reads and writes backbones as safetensors files with PyTorch's state_dict names. The metadata says how to build the
// network ("backbone", "width", "image_size", "embedding_size"). A file that was converted from InsightFace's weights
// has no such metadata, so the caller must know the options.
namespace arcshard::worker {

// Writes every tensor of state_dict(), with `metadata` added to the network's own. The file appears when it is
// complete, or not at all. may_appear: is asked last, before it does; null: it may. Errors are SafetensorsWriter's and
// those of may_appear.
absl::Status SaveBackbone(const Backbone& backbone, const std::string& path, SafetensorsMetadata metadata = {},
                          const std::function<absl::Status()>& may_appear = nullptr);

// The metadata that SaveBackbone writes.
SafetensorsMetadata BackboneMetadata(const Backbone& backbone, SafetensorsMetadata metadata = {});

// Replaces the values of every tensor of state_dict(). An error leaves the backbone unchanged. NotFound: there is no
// such file. DataLoss: the file violates the format. InvalidArgument: its metadata names another network, or a tensor
// is missing, has another shape or dtype, or is not one of the backbone's; the message names the tensor and the file.
absl::Status LoadBackbone(const std::string& path, Backbone* backbone);
absl::Status LoadBackbone(const SafetensorsFile& file, Backbone* backbone);

// Builds the network that the file's metadata describes and loads it. Errors are LoadBackbone's, and InvalidArgument if
// the metadata lacks a key or describes an invalid network.
absl::StatusOr<std::unique_ptr<Backbone>> OpenBackbone(const std::string& path);

}  // namespace arcshard::worker
