// The GPU that the host's processor plays is as strict as the tests of the GPU's code rely on.
#include "shard_server/head/cuda/testing/host_gpu.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_launch.h"
#include "shard_server/head/cuda/cuda_stream.h"

namespace arcshard::head {
namespace {

CudaStream MakeStream() {
  auto stream = CudaStream::Create();
  EXPECT_TRUE(stream.ok()) << stream.status();
  return *std::move(stream);
}

template <typename T>
CudaBuffer OnDevice(const std::vector<T>& values) {
  CudaBuffer buffer;
  const int64_t bytes = static_cast<int64_t>(values.size() * sizeof(T));
  EXPECT_TRUE(buffer.Reserve(bytes, "a test").ok());
  const CudaStream stream = MakeStream();
  EXPECT_TRUE(stream.Copy(buffer.data(), values.data(), bytes).ok());
  EXPECT_TRUE(stream.Synchronize().ok());
  return buffer;
}

template <typename T>
std::vector<T> OnHost(const CudaBuffer& buffer) {
  std::vector<T> values(static_cast<size_t>(buffer.bytes()) / sizeof(T));
  const CudaStream stream = MakeStream();
  EXPECT_TRUE(stream.Copy(values.data(), buffer.data(), buffer.bytes()).ok());
  EXPECT_TRUE(stream.Synchronize().ok());
  return values;
}

TEST(HostGpuTest, NewMemoryHoldsNoUsableValue) {
  CudaBuffer floats;
  ASSERT_TRUE(floats.Reserve(8, "a test").ok());
  for (const float value : OnHost<float>(floats)) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(OnHost<int64_t>(floats), std::vector<int64_t>{-1});
}

TEST(HostGpuTest, WhatIsQueuedHappensWhenItsOwnStreamIsWaitedFor) {
  const CudaStream first = MakeStream(), second = MakeStream();
  const CudaBuffer buffer = OnDevice<int>({1});
  int seen = 0;
  ASSERT_TRUE(first.Zero(buffer.data(), 4).ok());
  ASSERT_TRUE(second.Copy(&seen, buffer.data(), 4).ok());
  EXPECT_EQ(seen, 0);
  ASSERT_TRUE(second.Synchronize().ok());
  EXPECT_EQ(seen, 1);
  ASSERT_TRUE(first.Synchronize().ok());
  EXPECT_EQ(OnHost<int>(buffer), std::vector<int>{0});
}

TEST(HostGpuTest, ACopyBeyondAnAllocationIsRefused) {
  const CudaStream stream = MakeStream();
  const CudaBuffer buffer = OnDevice<int>({1, 2});
  std::vector<int> to(4);
  EXPECT_FALSE(stream.Copy(to.data(), buffer.data(), 12).ok());
  EXPECT_FALSE(stream.Zero(buffer.as<int>() + 1, 8).ok());
}

TEST(HostGpuTest, MoreMemoryThanThereIsIsRefused) {
  CudaBuffer buffer;
  const absl::Status status = buffer.Reserve(kHostGpuBytes + 1, "a test");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

__global__ void CountThreads(int64_t items, int* visits) {
  const int64_t i = GlobalThread();
  if (i < items) ++visits[i];
}

TEST(HostGpuTest, AKernelRunsOnceForEachThread) {
  for (const bool backwards : {false, true}) {
    RunWarpsBackwards(backwards);
    const CudaStream stream = MakeStream();
    const CudaBuffer visits = OnDevice(std::vector<int>(1000));
    ASSERT_EQ(LaunchThreads(CountThreads, 1000, stream.get(), int64_t{1000}, visits.as<int>()), cudaSuccess);
    ASSERT_TRUE(stream.Synchronize().ok());
    EXPECT_EQ(OnHost<int>(visits), std::vector<int>(1000, 1));
  }
  RunWarpsBackwards(false);
}

__global__ void SumWarps(const double* values, double* sums, unsigned* odd) {
  const int64_t i = GlobalThread();
  const double sum = WarpSum(values[i]);
  const unsigned ballot = __ballot_sync(0xffffffffu, Lane() % 2 == 1);
  sums[i] = WarpSum(sum);  // a second exchange, whose values are not mixed up with the first one's
  odd[i] = ballot;
}

TEST(HostGpuTest, LanesOfAWarpExchangeValuesAmongThemselvesAlone) {
  std::vector<double> values(64);
  std::iota(values.begin(), values.end(), 0.0);
  const CudaBuffer in = OnDevice(values), sums = OnDevice(values), odd = OnDevice(std::vector<unsigned>(64));
  const CudaStream stream = MakeStream();
  ASSERT_EQ(Launch(SumWarps, 1, 64, stream.get(), in.as<double>(), sums.as<double>(), odd.as<unsigned>()), cudaSuccess);
  ASSERT_TRUE(stream.Synchronize().ok());
  std::vector<double> expected(32, 32.0 * 496);
  expected.resize(64, 32.0 * (496 + 32 * 32));
  EXPECT_EQ(OnHost<double>(sums), expected);
  EXPECT_EQ(OnHost<unsigned>(odd), std::vector<unsigned>(64, 0xaaaaaaaau));
}

// On a stream of its own: only the process that is to end runs it.
template <typename T>
void RunAlone(void (*kernel)(T*), T* values) {
  const CudaStream stream = MakeStream();
  ASSERT_EQ(Launch(kernel, 1, 32, stream.get(), values), cudaSuccess);
  ASSERT_TRUE(stream.Synchronize().ok());
}

__global__ void SumSomeLanes(float* value) {
  if (Lane() < 7) *value = WarpSum(*value);
}

TEST(HostGpuDeathTest, LanesThatExchangeValuesWithLanesThatHaveEndedEndTheProcess) {
  const CudaBuffer value = OnDevice<float>({1});
  EXPECT_DEATH(RunAlone(SumSomeLanes, value.as<float>()), "all lanes of a warp exchange values, or none");
}

TEST(HostGpuTest, ALaunchBeyondAGpusLimitsIsRefused) {
  const CudaStream stream = MakeStream();
  EXPECT_EQ(Launch(CountThreads, dim3(0), 32, stream.get(), int64_t{0}, nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(Launch(CountThreads, dim3(1, 65536), 32, stream.get(), int64_t{0}, nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(Launch(CountThreads, dim3(1), 2048, stream.get(), int64_t{0}, nullptr), cudaErrorInvalidConfiguration);
}

#ifdef __SANITIZE_ADDRESS__
TEST(HostGpuDeathTest, TheHostsCodeCannotReadTheMemoryOfTheDevice) {
  const CudaBuffer buffer = OnDevice<int>({1});
  EXPECT_DEATH(std::exit(*buffer.as<volatile int>()), "use-after-poison");
}

__global__ void WriteBehind(int* values) { values[2] = 1; }

TEST(HostGpuDeathTest, AKernelThatLeavesItsMemoryEndsTheProcess) {
  const CudaBuffer buffer = OnDevice<int>({1, 2});
  EXPECT_DEATH(RunAlone(WriteBehind, buffer.as<int>()), "heap-buffer-overflow");
}
#endif

// A product of column-major matrices that take more room than their columns.
TEST(HostGpuTest, AProductIsTheFormulasAndIgnoresWhatItOverwrites) {
  const CudaStream stream = MakeStream();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const CudaBuffer a = OnDevice<float>({1, 2, nan, 3, 4, nan});        // 2×2, columns of 3
  const CudaBuffer b = OnDevice<float>({5, 6, 7, 8});                  // 2×2, transposed
  const CudaBuffer c = OnDevice<float>({nan, nan, 77, nan, nan, 77});  // 2×2, columns of 3
  CudaBuffer workspace;
  ASSERT_TRUE(workspace.Reserve(64, "a test").ok());
  cublasHandle_t handle;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasSetStream(handle, stream.get()), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cublasSetWorkspace(handle, workspace.data(), 64), CUBLAS_STATUS_SUCCESS);
  const auto multiply = [&](float beta, int columns_of_c) {
    const float one = 1;
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_T, 2, 2, 2, &one, a.data(), CUDA_R_32F, 3, b.data(), CUDA_R_32F,
                        2, &beta, c.data(), CUDA_R_32F, columns_of_c, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  };
  ASSERT_EQ(multiply(0, 3), CUBLAS_STATUS_SUCCESS);
  ASSERT_TRUE(stream.Synchronize().ok());
  // a = (1 3; 2 4), b^T = (5 6; 7 8), and columns follow each other.
  EXPECT_EQ(OnHost<float>(c), (std::vector<float>{26, 38, 77, 30, 44, 77}));
  ASSERT_EQ(multiply(1, 3), CUBLAS_STATUS_SUCCESS);
  ASSERT_TRUE(stream.Synchronize().ok());
  EXPECT_EQ(OnHost<float>(c), (std::vector<float>{52, 76, 77, 60, 88, 77}));
  EXPECT_EQ(multiply(0, 1), CUBLAS_STATUS_INVALID_VALUE);
  cublasDestroy(handle);
}

}  // namespace
}  // namespace arcshard::head
