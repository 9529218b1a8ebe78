#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/safetensors.h"
#include "worker/backbone/backbone.h"

// Backbones as safetensors files, under PyTorch's state_dict names. The metadata says how to build the network
// ("backbone", "width", "image_size", "embedding_size"); a file that InsightFace's weights were converted to has none
// and needs the options from elsewhere.
namespace arcshard::worker {

// Writes every tensor of state_dict(); `metadata` is written beside the network's own. The file appears whole or not at
// all. Errors as WriteSafetensors.
absl::Status SaveBackbone(const Backbone& backbone, const std::string& path, SafetensorsMetadata metadata = {});

// The metadata that SaveBackbone writes.
SafetensorsMetadata BackboneMetadata(const Backbone& backbone, SafetensorsMetadata metadata = {});

// Replaces the values of every tensor of state_dict(). An error leaves the backbone as it was.
// NotFound: no such file. DataLoss: the file breaks the format. InvalidArgument: its metadata names another network, or
// a tensor is missing, has another shape or dtype, or is not one of the backbone's; says which, and the file.
absl::Status LoadBackbone(const std::string& path, Backbone* backbone);
absl::Status LoadBackbone(const SafetensorsFile& file, Backbone* backbone);

// Builds the network that the file's metadata describes and loads it. Errors as LoadBackbone; InvalidArgument: the
// metadata lacks a key or describes no possible network.
absl::StatusOr<std::unique_ptr<Backbone>> OpenBackbone(const std::string& path);

}  // namespace arcshard::worker
