#include "worker/backbone/layers/prelu.h"

#include <string>
#include <utility>
#include <vector>

#include "ATen/Parallel.h"
#include "ATen/ops/empty_like.h"
#include "ATen/ops/prelu.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/threshold_backward.h"
#include "c10/core/GradMode.h"
#include "torch/csrc/autograd/function.h"
#include "worker/backbone/layers/graph_node.h"
#include "worker/backbone/layers/prelu_rows.h"

namespace arcshard::worker {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

// Whether it has an implementation by rows (prelu_rows.h).
bool IsByRows(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4; }

PReluShape ShapeOf(const at::Tensor& x) { return {x.size(0) * x.size(2) * x.size(3), x.size(1)}; }

// One for each channel.
std::vector<float> SlopesOf(const at::Tensor& slope, int64_t channels) {
  const float* const values = slope.const_data_ptr<float>();
  if (slope.numel() == 1) return std::vector<float>(static_cast<size_t>(channels), values[0]);
  return {values, values + channels};
}

// Calls work(part, first row, rows) for equal parts of the rows, as many as there are threads.
template <typename Work>
void ForParts(const PReluShape& shape, int parts, const Work& work) {
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = shape.rows * part / parts;
      work(part, first, shape.rows * (part + 1) / parts - first);
    }
  });
}

at::Tensor ForwardByRows(const at::Tensor& given, const at::Tensor& slope) {
  const at::Tensor x = given.contiguous(kChannelsLast);
  const PReluShape shape = ShapeOf(x);
  const std::vector<float> slopes = SlopesOf(slope, shape.channels);
  at::Tensor y = at::empty_like(x);
  const float* const from = x.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  ForParts(shape, at::get_num_threads(), [&](int64_t, int64_t first, int64_t rows) {
    const int64_t offset = first * shape.channels;
    PReluOfRows({rows, shape.channels}, from + offset, slopes.data(), to + offset);
  });
  return y;
}

// The gradients with respect to x and slope.
variable_list BackwardByRows(const at::Tensor& gradient, const at::Tensor& given, const at::Tensor& slope) {
  const at::Tensor g = gradient.contiguous(kChannelsLast), x = given.contiguous(kChannelsLast);
  const PReluShape shape = ShapeOf(x);
  const std::vector<float> slopes = SlopesOf(slope, shape.channels);
  at::Tensor dx = at::empty_like(x);
  const PReluGradients inputs = {g.const_data_ptr<float>(), x.const_data_ptr<float>(), slopes.data()};
  float* const to = dx.mutable_data_ptr<float>();
  const int parts = at::get_num_threads();
  const size_t channels = static_cast<size_t>(shape.channels);
  std::vector<std::vector<double>> sums(static_cast<size_t>(parts), std::vector<double>(channels));
  ForParts(shape, parts, [&](int64_t part, int64_t first, int64_t rows) {
    const int64_t offset = first * shape.channels;
    PReluBackwardOfRows({rows, shape.channels}, {inputs.gradient + offset, inputs.x + offset, inputs.slope},
                        to + offset, sums[static_cast<size_t>(part)].data());
  });
  // In the order of the parts, so that the same number of threads gives the same bits.
  std::vector<double> d_slope(static_cast<size_t>(slope.numel()));
  for (const std::vector<double>& part : sums) {
    for (size_t c = 0; c < channels; ++c) d_slope[d_slope.size() == 1 ? 0 : c] += part[c];
  }
  return {dx, at::tensor(d_slope, at::kFloat)};
}

// The node of autograd's graph. It derives from Node, because the templates of torch::autograd::Function take five
// times as long to compile.
class PReluBackward final : public torch::autograd::Node {
 public:
  PReluBackward(const at::Tensor& x, const at::Tensor& slope)
      : Node(torch::autograd::collect_next_edges(x, slope)),
        x_(x, /*is_output=*/false),
        slope_(slope, /*is_output=*/false) {}

  std::string name() const override { return "PReluBackward"; }
  void release_variables() override {
    x_.reset_data();
    slope_.reset_data();
  }

  // gradients: one, with respect to the result. Returns those with respect to x and slope.
  variable_list apply(variable_list&& gradients) override {
    const at::Tensor& gradient = gradients[0];
    if (!gradient.defined()) return variable_list(2);
    const at::Tensor x = x_.unpack(), slope = slope_.unpack();
    if (IsByRows(x)) return BackwardByRows(gradient, x, slope);
    // The gradient where x > 0, and the rest of it, where x <= 0.
    at::Tensor dx = at::threshold_backward(gradient, x, 0);
    at::Tensor negative = gradient.sub(dx);
    dx.addcmul_(negative, slope.to(x.scalar_type()).view({1, -1, 1, 1}));
    if (!task_should_compute_output(1)) return {dx, at::Tensor()};
    negative.mul_(x);
    const at::Tensor d_slope = slope.numel() == 1 ? negative.sum(at::kFloat).view({1})
                                                  : negative.sum({0, 2, 3}, /*keepdim=*/false, at::kFloat);
    return {dx, d_slope};
  }

 private:
  SavedVariable x_, slope_;
};

}  // namespace

at::Tensor ApplyPRelu(const at::Tensor& x, const at::Tensor& slope) {
  const bool needs_graph = c10::GradMode::is_enabled() && (x.requires_grad() || slope.requires_grad());
  c10::NoGradGuard no_grad;
  at::Tensor y = IsByRows(x) ? ForwardByRows(x, slope) : at::prelu(x, slope.to(x.scalar_type()));
  if (needs_graph) SetGradientNode<PReluBackward>(y, x, slope);
  return y;
}

}  // namespace arcshard::worker
