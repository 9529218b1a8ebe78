// A shard's resident memory is its weights and moments and little else, and `arcshard plan` predicts it.
#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/plan/run_plan.h"
#include "common/config/load_config.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

constexpr int64_t kClasses = 200000, kDim = 512;
constexpr double kMb = 1e6;
constexpr double kBesidesMb = 250;  // MB of the program, its libraries and the buffers of a step
constexpr double kPlanned = 0.05;   // relative error allowed to the plan
constexpr double kShare = 1.15;     // times weights and moments: 1/norm, kept exponentials, allocators' waste

// The peak of a process's resident memory, in MB.
double PeakMb(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    int64_t kib = 0;
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() == 3 && words[0] == "VmHWM:" && absl::SimpleAtoi(words[1], &kib)) return kib * 1024 / kMb;
  }
  ADD_FAILURE() << "process " << pid << " does not say what it has resident";
  return 0;
}

class ShardMemoryTest : public ProcessTestBase {
 protected:
  // Trains three steps with 200,000 synthetic classes on two shards. bytes: of one weight and its moments. There is no
  // replay log: its bound is planned, and three steps come nowhere near it.
  void ExpectLittleBesideWeightsAndMoments(const std::vector<std::string>& overrides, int64_t bytes) {
    std::vector<std::string> all = {"data.train=",        "data.format=synthetic",       "data.image_size=32",
                                    "data.batch_size=64", "head.classes=200000",         "data.micro_batch_size=32",
                                    "cluster.workers=1",  "backbone.embedding_size=512", "cluster.log_mb=0"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    Program run = Start("arcshard", SmallRun(all));
    run.AwaitLine("  step ");
    const Listing listing = Listing::Of(Path("run"));
    auto watch = cli::WatchClient::Start(listing.coordinator);
    ASSERT_TRUE(watch.ok()) << watch.status();
    AwaitSteps(watch->get(), 3);
    const absl::StatusOr<RunConfig> config = LoadRunConfig(Path("run/config.yaml"), {});
    ASSERT_TRUE(config.ok()) << config.status();
    const double planned_mb = static_cast<double>(PlanRun(*config, kClasses).shard.resident()) / kMb;
    const double held_mb = static_cast<double>(kClasses / 2 * kDim * bytes) / kMb;
    for (const uint32_t shard : {0u, 1u}) {
      const double peak_mb = PeakMb(listing.Find("shard", shard).pid);
      EXPECT_LE(peak_mb, kShare * held_mb + kBesidesMb) << "shard " << shard << " holds " << held_mb << " MB";
      EXPECT_NEAR(planned_mb / peak_mb, 1.0, kPlanned) << "shard " << shard << ": planned " << planned_mb << " MB";
      EXPECT_GE(peak_mb, held_mb) << "shard " << shard << ": what is measured is not the head";
      RecordProperty(absl::StrCat("shard_", shard, "_peak_mb"), static_cast<int>(peak_mb));
    }
    run.Signal(SIGKILL);  // so that no class centers are written
    run.AwaitEnd();
    for (const Listing::Entry& process : listing.processes) AwaitDeath(process.pid);
  }
};

TEST_F(ShardMemoryTest, InFloat32) { ExpectLittleBesideWeightsAndMoments({}, 8); }

TEST_F(ShardMemoryTest, InBfloat16WithSampledClasses) {
  ExpectLittleBesideWeightsAndMoments(
      {"head.weights=bfloat16", "head.moments=bfloat16", "head.compute=bfloat16", "head.sample_rate=0.1"}, 4);
}

}  // namespace
}  // namespace arcshard
