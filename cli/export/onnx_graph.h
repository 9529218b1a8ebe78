#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/safetensors.h"
#include "onnx/onnx.pb.h"

namespace arcshard::cli {

// An ONNX graph (operator set 13) that is built layer by layer from the tensors of a backbone's file, whose names it
// keeps. A layer is named by the prefix of its tensors ("layer1.0.bn1"). The first error stays: layers added behind it
// do nothing.
class OnnxGraph {
 public:
  // What a layer returns: B×channels×side×side, or B×channels if side is 0.
  struct Value {
    std::string name;
    int64_t channels = 0, side = 0;
  };

  explicit OnnxGraph(const SafetensorsFile* weights) : weights_(weights) {}

  bool Has(const std::string& tensor) const { return weights_->entries().count(tensor) > 0; }

  Value Input(const std::string& name, int64_t channels, int64_t side);
  // A convolution with a square kernel, without bias; pad: by half the kernel, so that stride 1 keeps the size.
  Value Conv(const Value& x, const std::string& prefix, int64_t stride = 1, bool pad = true);
  Value BatchNorm(const Value& x, const std::string& prefix, double eps);
  Value PRelu(const Value& x, const std::string& prefix);
  Value Linear(const Value& x, const std::string& prefix);  // with a bias if there is one
  Value Flatten(const Value& x, const std::string& name);
  Value Add(const Value& a, const Value& b, const std::string& name);

  // Makes `result` the graph's output of that name. Returns the first error. InvalidArgument: a tensor is missing, is
  // not float32 or has a shape that does not fit, or the file has tensors that no layer uses; the message names it.
  absl::Status Finish(const Value& result, const std::string& name);

  onnx::GraphProto* graph() { return &graph_; }

 private:
  const std::vector<int64_t>& ShapeOf(const std::string& tensor, size_t dims);
  void AddTensor(const std::string& tensor, const std::vector<int64_t>& shape);
  onnx::NodeProto* AddNode(const char* op, const std::string& name, std::initializer_list<std::string> inputs);
  void Describe(const Value& value, onnx::ValueInfoProto* info) const;
  void Refuse(absl::string_view tensor, absl::string_view what);

  const SafetensorsFile* const weights_;
  onnx::GraphProto graph_;
  std::set<std::string> used_;
  absl::Status status_;
};

}  // namespace arcshard::cli
