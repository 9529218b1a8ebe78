#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"
#include "cli/supervision/process.h"
#include "cli/train/watch_client.h"
#include "common/net/port_reservation.h"

namespace arcshard {

// The processes of a run, started by hand rather than by arcshard train: whoever dies is started again at once, however
// often that happens. Nobody here waits longer between two deaths, as the launcher does. Not thread-safe.
class Cluster {
 public:
  struct Options {
    std::string config;                  // run.yaml
    std::vector<std::string> overrides;  // "section.key=value"
    std::string logs;                    // an existing folder, for a log of each process
    uint32_t shards = 2;
    uint32_t workers = 2;
  };

  // Starts all of them.
  explicit Cluster(const Options& options);

  // Process 0 is the coordinator; the shards and then the workers follow.
  size_t size() const { return members_.size(); }
  const std::string& name(size_t i) const { return members_.at(i).name; }  // "shard-1"
  pid_t pid(size_t i) const { return members_.at(i).process->pid(); }
  std::string log(size_t i) const;

  // Kills the process, starts it again, and waits until the run goes on.
  void Kill(size_t i);
  void Signal(size_t i, int signal) { members_.at(i).process->Signal(signal); }

  // Takes reports of the run, over all lives of the coordinator, until `wanted` accepts one, and returns it. Meanwhile
  // starts those again that end by themselves, which fails the test. If the coordinator ends in order before that, the
  // result is the last report.
  v1::Progress AwaitReport(const std::function<bool(const v1::Progress&)>& wanted);
  // Waits until the run has decided `steps` steps more than at the first report that comes from now on.
  v1::Progress AwaitSteps(uint64_t steps);
  // Waits until all have ended in order, and returns the last report.
  v1::Progress AwaitEnd();

 private:
  struct Member {
    std::string name;
    std::string program;
    std::vector<std::string> arguments;
    std::unique_ptr<cli::Process> process;
    bool ended = false;  // in order
  };

  void Start(Member* member, const std::string& why);
  // Forgets the reports that have come.
  void Drain();
  // Looks for those that have ended by themselves.
  void Supervise();
  // Waits until there are reports, or a process has ended.
  void AwaitEvent();

  const Options options_;
  std::optional<PortReservation> port_;  // of the coordinator
  std::vector<Member> members_;
  std::unique_ptr<cli::WatchClient> watch_;
  uint64_t life_ = 1;                 // of the coordinator, whose reports come
  std::deque<v1::Progress> reports_;  // that have come, and that nobody has looked at
  v1::Progress last_;                 // the last one that somebody has looked at
};

}  // namespace arcshard
