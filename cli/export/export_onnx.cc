#include "cli/export/export_onnx.h"

#include <cstdint>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/export/onnx_graph.h"
#include "common/base/status_macros.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace arcshard::cli {
namespace {

using Value = OnnxGraph::Value;

// worker/backbone/networks/residual_net.h. The tensors say how many blocks there are and where the shape changes.
Value ResidualNet(OnnxGraph* graph, const Value& data, double eps) {
  Value x = graph->BatchNorm(graph->Conv(data, "conv1"), "bn1", eps);
  x = graph->PRelu(x, "prelu");
  for (int layer = 1; layer <= 4; ++layer) {
    for (int i = 0; i == 0 || graph->Has(absl::StrCat("layer", layer, ".", i, ".conv1.weight")); ++i) {
      const std::string block = absl::StrCat("layer", layer, ".", i);
      const int64_t stride = i == 0 ? 2 : 1;
      Value y = graph->Conv(graph->BatchNorm(x, block + ".bn1", eps), block + ".conv1");
      y = graph->PRelu(graph->BatchNorm(y, block + ".bn2", eps), block + ".prelu");
      y = graph->BatchNorm(graph->Conv(y, block + ".conv2", stride), block + ".bn3", eps);
      if (graph->Has(block + ".downsample.0.weight")) {
        x = graph->BatchNorm(graph->Conv(x, block + ".downsample.0", stride), block + ".downsample.1", eps);
      }
      x = graph->Add(y, x, block + ".add");
    }
  }
  x = graph->Linear(graph->Flatten(graph->BatchNorm(x, "bn2", eps), "flatten"), "fc");
  return graph->Has("features.weight") ? graph->BatchNorm(x, "features", eps) : x;
}

// A convolution, BatchNorm, and PReLU if the tensors have one.
Value ConvBlock(OnnxGraph* graph, const Value& x, const std::string& prefix, int64_t stride = 1, bool pad = true) {
  constexpr double kEps = 1e-5;
  const Value y = graph->BatchNorm(graph->Conv(x, prefix + ".layers.0", stride, pad), prefix + ".layers.1", kEps);
  return graph->Has(prefix + ".layers.2.weight") ? graph->PRelu(y, prefix + ".layers.2") : y;
}

Value Bottleneck(OnnxGraph* graph, const Value& x, const std::string& prefix, int64_t stride) {
  Value y = ConvBlock(graph, x, prefix + ".layers.0");
  y = ConvBlock(graph, ConvBlock(graph, y, prefix + ".layers.1", stride), prefix + ".layers.2");
  return stride == 1 ? graph->Add(y, x, prefix + ".add") : y;
}

// worker/backbone/networks/mobile_face_net.h.
Value MobileFaceNet(OnnxGraph* graph, const Value& data) {
  Value x = ConvBlock(graph, ConvBlock(graph, data, "layers.0", 2), "layers.1");
  for (int stage = 2; stage <= 6; stage += 2) {
    x = Bottleneck(graph, x, absl::StrCat("layers.", stage), 2);
    for (int i = 0; graph->Has(absl::StrCat("layers.", stage + 1, ".layers.", i, ".layers.0.layers.0.weight")); ++i) {
      x = Bottleneck(graph, x, absl::StrCat("layers.", stage + 1, ".layers.", i), 1);
    }
  }
  x = ConvBlock(graph, ConvBlock(graph, x, "conv_sep"), "features.layers.0", 1, /*pad=*/false);
  x = graph->Linear(graph->Flatten(x, "features.layers.1"), "features.layers.2");
  return graph->BatchNorm(x, "features.layers.3", 1e-5);
}

absl::Status NoNetwork(const SafetensorsFile& file) {
  return absl::InvalidArgumentError(absl::StrCat(
      file.path(), ": its metadata names no network that arcshard has (\"backbone\", \"image_size\"), so it was not ",
      "saved by arcshard; arcshard checkpoint import and export give InsightFace's weights such metadata"));
}

std::string MetadataOf(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

absl::StatusOr<std::string> OnnxModelOf(const SafetensorsFile& file) {
  const std::string network = MetadataOf(file, "backbone");
  int64_t side = 0;
  if (!absl::SimpleAtoi(MetadataOf(file, "image_size"), &side) || side < 1 || side > 1 << 16) return NoNetwork(file);
  OnnxGraph graph(&file);
  const Value data = graph.Input("data", 3, side);
  Value embedding;
  if (absl::StartsWith(network, "iresnet")) {
    embedding = ResidualNet(&graph, data, 1e-5);
  } else if (absl::StartsWith(network, "faceresnet")) {
    embedding = ResidualNet(&graph, data, 2e-5);
  } else if (network == "mobilefacenet") {
    embedding = MobileFaceNet(&graph, data);
  } else if (network == "none") {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": the run had backbone.name none, so there is no network to export"));
  } else {
    return NoNetwork(file);
  }
  RETURN_IF_ERROR(graph.Finish(embedding, "embedding"));

  onnx::ModelProto model;
  model.set_ir_version(7);
  model.set_producer_name("arcshard");
  model.set_producer_version(ARCSHARD_VERSION);
  model.add_opset_import()->set_version(13);
  for (const auto& [key, value] : file.metadata()) {
    onnx::StringStringEntryProto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
  graph.graph()->set_name(network);
  graph.graph()->mutable_input(0)->set_doc_string(
      "RGB images, (pixel - data.pixel_mean) / data.pixel_std of the training; both are 127.5 unless it set them");
  model.mutable_graph()->Swap(graph.graph());
  if (model.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::ResourceExhaustedError(
        absl::StrCat(file.path(), ": its ONNX model would have ", model.ByteSizeLong(), " bytes; 2 GiB is the limit"));
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model.SerializeWithCachedSizes(&coded);
  }
  return bytes;
}

}  // namespace arcshard::cli
