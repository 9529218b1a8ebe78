#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/disk.h"
#include "tests/simulation/sim_all_reduce.h"
#include "tests/simulation/sim_coordinator.h"
#include "tests/simulation/sim_participant.h"
#include "tests/simulation/sim_shard.h"
#include "tests/simulation/sim_worker.h"
#include "tests/simulation/world.h"

namespace arcshard::simulation {

enum class FaultKind {
  kKill,     // and the launcher starts it again, soon or late
  kStop,     // SIGSTOP, and SIGCONT some seconds later
  kCut,      // packets between two hosts vanish for a while
  kSlow,     // all messages take longer for a while
  kIsolate,  // the coordinator is cut off from all, and another one is started in its place
};

struct Fault {
  FaultKind kind = FaultKind::kKill;
  absl::Duration at;
  absl::Duration lasts = absl::ZeroDuration();
  std::string victim = {};  // "shard-1"
  std::string other = {};   // kCut
};
std::string Describe(const Fault& fault);

struct ClusterOptions {
  uint64_t seed = 0;
  uint32_t shards = 3;
  uint32_t workers = 3;
  bool spare = false;  // a further shard waits until one is lost
  std::vector<Fault> faults = {};
};

// A whole run under virtual time: the real state machines of coordinator, shards and workers, a launcher that starts
// again what dies, and checks that hold at every moment:
//
//   - who holds the state after a step holds the same as everybody that ever did, whatever happened before
//   - of the decisions about a step that follow the same state, one at most is built upon
//   - a step is applied once, in order, by who voted on it or replays it
//   - the last decided step falls only by an announced rollback
//   - once all faults are over, something is decided at least every kLongestPause
//   - at the end all members hold the state after the last decision
//   - a refusal, an error or an end of the run that nothing explains is a violation
class Cluster final : public Directory {
 public:
  // Three times a link is found to carry nothing, and its members connect anew; then a lost worker is waited for.
  static constexpr absl::Duration kLongestPause = absl::Seconds(30);

  explicit Cluster(const ClusterOptions& options);
  ~Cluster() override;

  // Runs until the run has ended or `limit` has passed.
  void RunFor(absl::Duration limit);

  bool finished() const;  // in order
  const std::vector<std::string>& violations() const { return violations_; }
  const std::deque<std::string>& log() const { return log_; }  // the last lines
  const Disk& disk() const { return disk_; }
  const coordinator::Progress& progress() const { return coordinator_->progress(); }

  std::shared_ptr<AttendStream> ConnectToCoordinator(StreamEnd<CoordinatorMessage> client) override;
  std::shared_ptr<SimShard> ShardAt(const std::string& address) override;
  std::shared_ptr<SimWorker> WorkerAt(const std::string& address) override;
  void Reached(const std::string& who, const std::string& what, uint64_t step, uint64_t state) override;
  void Decided(const StatePoint& before, const Decision& decision) override;
  void RunFailed(const Process* coordinator, const absl::Status& status) override;
  void Violation(const std::string& what) override;
  void Log(const std::string& what) override;

 private:
  void Apply(const Fault& fault);
  void StartCoordinator();
  void StartShard(uint32_t index, bool spare);
  void StartWorker(uint32_t index);
  void Restart(const std::string& name);
  void Watch(const std::string& name, Process* process);
  void CheckStep();
  void CheckPause();
  void CheckRest();
  std::shared_ptr<Process> Find(const std::string& name) const;

  World world_;
  RunConfig config_;
  Disk disk_;
  SimAllReduce all_reduce_;
  std::shared_ptr<SimCoordinator> coordinator_;
  std::vector<std::shared_ptr<SimCoordinator>> former_;      // isolated ones that live on
  std::map<std::string, std::shared_ptr<SimShard>> shards_;  // by name, "shard-1"
  std::map<std::string, std::shared_ptr<SimWorker>> workers_;
  std::map<std::string, int> lives_;
  std::map<std::string, bool> restarts_itself_;                   // false: a fault has planned its next life
  std::map<std::pair<std::string, uint64_t>, uint64_t> states_;   // by what and step
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> built_upon_;  // by step and the lineage before: the lineage after
  uint64_t last_step_ = 0;
  uint64_t reached_ = 0;         // the highest step that a member has applied
  MonotonicTime last_decision_;  // or the end of the last fault
  uint64_t lost_steps_ = 0;
  std::vector<std::string> violations_;
  std::deque<std::string> log_;
};

}  // namespace arcshard::simulation
