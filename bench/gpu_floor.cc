#include "bench/gpu_floor.h"

#include <algorithm>
#include <vector>

#include "bench/cuda_passes.h"
#include "bench/measure.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_blas.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_stream.h"

namespace arcshard::bench {
namespace {

using head::BytesOf;
using head::ConstValues;
using head::CudaBlas;
using head::CudaBlockShape;
using head::CudaBuffer;
using head::CudaStream;
using head::DataType;
using head::HeadOptions;

constexpr int64_t kBlockRows[] = {4096, 16384, 65536};
constexpr int64_t kMostBlockRows = 65536;

class GpuFloor final : public HeadFloor {
 public:
  GpuFloor(const HeadOptions& options, int64_t batch, int64_t rows)
      : options_(options), batch_(batch), rows_(rows), dim_(options.dim) {
    const double needed = static_cast<double>(rows * batch * BytesOf(options.compute));
    recomputed_share_ = needed > 0 ? 1.0 - std::min(1.0, static_cast<double>(options.exp_budget_bytes) / needed) : 0.0;
  }

  // All buffers hold zeros: the time of a product on a GPU doesn't depend on the values.
  absl::Status Start() {
    RETURN_IF_ERROR(CUDA_STATUS(cudaSetDevice(options_.device_index)));
    ASSIGN_OR_RETURN(stream_, CudaStream::Create());
    ASSIGN_OR_RETURN(blas_, CudaBlas::Create(stream_.get()));
    const int64_t block = std::min(kMostBlockRows, rows_);
    RETURN_IF_ERROR(Zeros(&weights_, rows_ * dim_ * BytesOf(options_.weights), "W"));
    RETURN_IF_ERROR(Zeros(&first_, rows_ * dim_ * BytesOf(options_.moments), "V"));
    if (options_.num_moments() == 2) {
      RETURN_IF_ERROR(Zeros(&second_, rows_ * dim_ * BytesOf(options_.moments), "a second moment"));
    }
    RETURN_IF_ERROR(Zeros(&block_, block * dim_ * BytesOf(options_.compute), "a block of W"));
    RETURN_IF_ERROR(Zeros(&embedding_, batch_ * dim_ * BytesOf(options_.compute), "E"));
    RETURN_IF_ERROR(Zeros(&q_, block * batch_ * BytesOf(options_.compute), "Q"));
    RETURN_IF_ERROR(Zeros(&s_, block * batch_ * BytesOf(DataType::kFloat32), "S"));
    RETURN_IF_ERROR(Zeros(&u_, batch_ * dim_ * BytesOf(DataType::kFloat32), "U"));
    RETURN_IF_ERROR(Zeros(&h_, block * dim_ * BytesOf(DataType::kFloat32), "H"));
    return ChooseFastest();
  }

  absl::Status Products() override {
    const int64_t recomputed_from = rows_ - static_cast<int64_t>(recomputed_share_ * static_cast<double>(rows_));
    for (int64_t row = 0; row < rows_; row += block_rows_) {
      const int64_t n = std::min(block_rows_, rows_ - row);
      RETURN_IF_ERROR(Cosines(row, n));
      RETURN_IF_ERROR(blas_->AddWeightedCenters(ShapeOf(n), Computed(q_), BlockOf(row), u_.as<float>()));
    }
    for (int64_t row = 0; row < rows_; row += block_rows_) {
      const int64_t n = std::min(block_rows_, rows_ - row);
      if (row + n > recomputed_from) RETURN_IF_ERROR(Cosines(row, n));
      RETURN_IF_ERROR(blas_->ProductOfGradient(ShapeOf(n), Computed(q_), Computed(embedding_), false, h_.as<float>()));
    }
    return stream_.Synchronize();
  }

  absl::Status Stream() override {
    StreamPassArguments pass;
    pass.size = rows_ * dim_;
    pass.w = {weights_.data(), options_.weights};
    pass.v = {first_.data(), options_.moments};
    pass.second = {second_.data(), options_.moments};
    pass.g = h_.as<float>();
    pass.gradients = dim_;
    RETURN_IF_ERROR(CUDA_STATUS(StreamPass(pass, stream_.get())));
    return stream_.Synchronize();
  }

  absl::Status Read() override {
    if (options_.compute == options_.weights) return absl::OkStatus();
    for (int64_t row = 0; row < rows_; row += block_rows_) {
      const int64_t n = std::min(block_rows_, rows_ - row);
      const ConstValues held{weights_.as<char>() + row * dim_ * BytesOf(options_.weights), options_.weights};
      RETURN_IF_ERROR(CUDA_STATUS(head::Convert(n * dim_, held, {block_.data(), options_.compute}, stream_.get())));
    }
    return stream_.Synchronize();
  }

  std::string routine() const override { return "cublasGemmEx"; }
  int64_t block_rows() const override { return block_rows_; }
  double recomputed_share() const override { return recomputed_share_; }

 private:
  absl::Status Zeros(CudaBuffer* memory, int64_t bytes, const char* what) {
    RETURN_IF_ERROR(memory->Reserve(std::max<int64_t>(bytes, 1), what));
    return stream_.Zero(memory->data(), bytes);
  }

  absl::Status ChooseFastest() {
    double best = 0.0;
    int64_t fastest = 0;
    for (const int64_t block_rows : kBlockRows) {
      block_rows_ = block_rows;
      absl::Status status = Products();  // warms up
      const double time = Time(1, [&] {
                            for (int repeat = 0; repeat < 3 && status.ok(); ++repeat) status = Products();
                          }).wall;
      RETURN_IF_ERROR(status);
      if (fastest == 0 || time < best) {
        best = time;
        fastest = block_rows;
      }
    }
    block_rows_ = fastest;
    return absl::OkStatus();
  }

  absl::Status Cosines(int64_t row, int64_t n) {
    return blas_->ProductOfCosines(ShapeOf(n), BlockOf(row), Computed(embedding_), s_.as<float>());
  }
  CudaBlockShape ShapeOf(int64_t rows) const { return {rows, batch_, dim_, batch_}; }
  ConstValues Computed(const CudaBuffer& memory) const { return {memory.data(), options_.compute}; }
  // The weights of a block in the compute type. Where they are stored in another type, this is a converted block; Read
  // measures the conversion.
  ConstValues BlockOf(int64_t row) const {
    if (options_.compute != options_.weights) return Computed(block_);
    return {weights_.as<char>() + row * dim_ * BytesOf(options_.weights), options_.weights};
  }

  const HeadOptions options_;
  const int64_t batch_, rows_, dim_;
  double recomputed_share_ = 0.0;
  int64_t block_rows_ = kMostBlockRows;
  CudaStream stream_;
  std::unique_ptr<CudaBlas> blas_;
  CudaBuffer weights_, first_, second_;  // rows×D, in the stored type
  CudaBuffer block_, embedding_, q_;     // in the compute type
  CudaBuffer s_, u_, h_;                 // float32
};

}  // namespace

absl::StatusOr<std::unique_ptr<HeadFloor>> CreateGpuFloor(const HeadOptions& options, int64_t batch,
                                                          int64_t active_rows) {
  auto floor = std::make_unique<GpuFloor>(options, batch, active_rows);
  RETURN_IF_ERROR(floor->Start());
  return floor;
}

}  // namespace arcshard::bench
