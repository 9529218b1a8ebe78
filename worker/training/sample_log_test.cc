#include "worker/training/sample_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "common/io/file.h"

namespace arcshard::worker {
namespace {

TEST(SampleLogTest, HasALineForEachMicroBatchAndGoesOnInALaterViewAndLife) {
  const std::string path = ::testing::TempDir() + "/sample_log_test_" + std::to_string(getpid()) + ".jsonl";
  {
    SampleLog log(path);
    log.Add({{1, 1}, 18, 0}, {17, 4, 1203});
    log.Add({{1, 1}, 18, 2}, {5});
    log.Flush();
    log.Add({{1, 1}, 19, 0}, {1});  // not flushed: the step was never computed
  }
  SampleLog log(path);
  log.Add({{1, 2}, 18, 0}, {17});
  log.Add({{2, 1}, 18, 0}, {17});
  log.Flush();
  log.Flush();
  EXPECT_EQ(*ReadFile(path),
            "{\"incarnation\":1,\"view\":1,\"step\":18,\"micro_batch\":0,\"samples\":[17,4,1203]}\n"
            "{\"incarnation\":1,\"view\":1,\"step\":18,\"micro_batch\":2,\"samples\":[5]}\n"
            "{\"incarnation\":1,\"view\":2,\"step\":18,\"micro_batch\":0,\"samples\":[17]}\n"
            "{\"incarnation\":2,\"view\":1,\"step\":18,\"micro_batch\":0,\"samples\":[17]}\n");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace arcshard::worker
