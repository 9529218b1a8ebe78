#include "cli/export/onnx_graph.h"

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"

namespace arcshard::cli {
namespace {

void SetInts(onnx::NodeProto* node, const char* name, std::initializer_list<int64_t> values) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute->add_ints(value);
}

void SetInt(onnx::NodeProto* node, const char* name, int64_t value) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

void SetFloat(onnx::NodeProto* node, const char* name, double value) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::FLOAT);
  attribute->set_f(static_cast<float>(value));
}

}  // namespace

void OnnxGraph::Refuse(absl::string_view tensor, absl::string_view what) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(absl::StrCat(weights_->path(), ": tensor \"", tensor, "\" ", what));
}

// The shape of a tensor of the file, which must have so many dimensions, none of them 0. After an error: ones.
const std::vector<int64_t>& OnnxGraph::ShapeOf(const std::string& tensor, size_t dims) {
  static const auto* const kOnes = new std::vector<int64_t>(8, 1);
  const auto found = weights_->entries().find(tensor);
  if (found == weights_->entries().end()) {
    Refuse(tensor, "is missing");
    return *kOnes;
  }
  const std::vector<int64_t>& shape = found->second.shape;
  for (const int64_t size : shape) {
    if (size <= 0 || size > int64_t{1} << 31) dims = shape.size() + 1;
  }
  if (found->second.dtype != TensorDtype::kF32 || shape.size() != dims) {
    Refuse(tensor, absl::StrCat("is ", DtypeName(found->second.dtype), " of shape [", absl::StrJoin(shape, ", "),
                                "], which does not fit its layer"));
    return *kOnes;
  }
  return shape;
}

void OnnxGraph::AddTensor(const std::string& tensor, const std::vector<int64_t>& shape) {
  if (!status_.ok()) return;
  const absl::StatusOr<std::vector<float>> values = weights_->Read<float>(tensor);
  if (!values.ok()) {
    status_ = values.status();
    return;
  }
  onnx::TensorProto* initializer = graph_.add_initializer();
  initializer->set_name(tensor);
  initializer->set_data_type(onnx::TensorProto::FLOAT);
  for (const int64_t size : shape) initializer->add_dims(size);
  initializer->set_raw_data(values->data(), values->size() * sizeof(float));
  used_.insert(tensor);
}

onnx::NodeProto* OnnxGraph::AddNode(const char* op, const std::string& name,
                                    std::initializer_list<std::string> inputs) {
  onnx::NodeProto* node = graph_.add_node();
  node->set_op_type(op);
  node->set_name(name);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(absl::StrCat(name, ".out"));
  return node;
}

void OnnxGraph::Describe(const Value& value, onnx::ValueInfoProto* info) const {
  info->set_name(value.name);
  onnx::TypeProto::Tensor* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  type->mutable_shape()->add_dim()->set_dim_value(value.channels);
  for (int i = 0; i < (value.side > 0 ? 2 : 0); ++i) type->mutable_shape()->add_dim()->set_dim_value(value.side);
}

OnnxGraph::Value OnnxGraph::Input(const std::string& name, int64_t channels, int64_t side) {
  const Value value{name, channels, side};
  Describe(value, graph_.add_input());
  return value;
}

OnnxGraph::Value OnnxGraph::Conv(const Value& x, const std::string& prefix, int64_t stride, bool pad) {
  const std::string weight = prefix + ".weight";
  const std::vector<int64_t>& shape = ShapeOf(weight, 4);  // outputs, inputs of a group, kernel × kernel
  const int64_t kernel = shape[2], padding = pad ? kernel / 2 : 0;
  const bool fits = x.channels % shape[1] == 0 && kernel == shape[3] && kernel <= x.side + 2 * padding;
  if (!fits) Refuse(weight, absl::StrCat("does not fit ", x.channels, " channels of ", x.side, "×", x.side, " values"));
  AddTensor(weight, shape);
  onnx::NodeProto* node = AddNode("Conv", prefix, {x.name, weight});
  SetInts(node, "kernel_shape", {kernel, kernel});
  SetInts(node, "strides", {stride, stride});
  SetInts(node, "pads", {padding, padding, padding, padding});
  SetInt(node, "group", fits ? x.channels / shape[1] : 1);
  return {node->output(0), shape[0], fits ? (x.side + 2 * padding - kernel) / stride + 1 : 1};
}

OnnxGraph::Value OnnxGraph::BatchNorm(const Value& x, const std::string& prefix, double eps) {
  onnx::NodeProto* node = AddNode("BatchNormalization", prefix, {x.name});
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
    const std::string tensor = prefix + part;
    const std::vector<int64_t>& shape = ShapeOf(tensor, 1);
    if (shape[0] != x.channels) Refuse(tensor, absl::StrCat("does not fit ", x.channels, " channels"));
    AddTensor(tensor, shape);
    node->add_input(tensor);
  }
  SetFloat(node, "epsilon", eps);
  return {node->output(0), x.channels, x.side};
}

OnnxGraph::Value OnnxGraph::PRelu(const Value& x, const std::string& prefix) {
  const std::string weight = prefix + ".weight";
  const int64_t slopes = ShapeOf(weight, 1)[0];
  if (slopes != 1 && slopes != x.channels) Refuse(weight, absl::StrCat("does not fit ", x.channels, " channels"));
  AddTensor(weight, {slopes, 1, 1});  // for each channel, the same at every place
  const onnx::NodeProto* node = AddNode("PRelu", prefix, {x.name, weight});
  return {node->output(0), x.channels, x.side};
}

OnnxGraph::Value OnnxGraph::Linear(const Value& x, const std::string& prefix) {
  const std::string weight = prefix + ".weight", bias = prefix + ".bias";
  const std::vector<int64_t>& shape = ShapeOf(weight, 2);  // outputs × inputs
  if (shape[1] != x.channels) Refuse(weight, absl::StrCat("does not fit ", x.channels, " inputs"));
  AddTensor(weight, shape);
  onnx::NodeProto* node = AddNode("Gemm", prefix, {x.name, weight});
  SetInt(node, "transB", 1);
  if (Has(bias)) {
    if (ShapeOf(bias, 1)[0] != shape[0]) Refuse(bias, absl::StrCat("does not fit ", shape[0], " outputs"));
    AddTensor(bias, {shape[0]});
    node->add_input(bias);
  }
  return {node->output(0), shape[0], 0};
}

OnnxGraph::Value OnnxGraph::Flatten(const Value& x, const std::string& name) {
  const onnx::NodeProto* node = AddNode("Flatten", name, {x.name});  // behind the first dimension
  return {node->output(0), x.channels * x.side * x.side, 0};
}

OnnxGraph::Value OnnxGraph::Add(const Value& a, const Value& b, const std::string& name) {
  if (status_.ok() && (a.channels != b.channels || a.side != b.side)) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(weights_->path(), ": ", name, " would add values of different shapes: the tensors do not fit"));
  }
  const onnx::NodeProto* node = AddNode("Add", name, {a.name, b.name});
  return {node->output(0), a.channels, a.side};
}

absl::Status OnnxGraph::Finish(const Value& result, const std::string& name) {
  for (const auto& [tensor, entry] : weights_->entries()) {
    if (used_.count(tensor) == 0 && !absl::EndsWith(tensor, ".num_batches_tracked")) {
      Refuse(tensor, "belongs to no layer of the network that the metadata names");
    }
  }
  if (!status_.ok()) return status_;
  graph_.mutable_node(graph_.node_size() - 1)->set_output(0, name);
  Describe({name, result.channels, result.side}, graph_.add_output());
  return absl::OkStatus();
}

}  // namespace arcshard::cli
