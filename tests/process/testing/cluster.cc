#include "tests/process/testing/cluster.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

constexpr char kWaits[] = "600s";  // how long a member waits for a coordinator that is not there yet

constexpr absl::Duration kLastReports = absl::Seconds(1);  // for reports to arrive after the coordinator's end

}  // namespace

Cluster::Cluster(const Options& options) : options_(options) {
  auto port = PortReservation::Take();
  EXPECT_TRUE(port.ok()) << port.status();
  port_ = *std::move(port);
  const std::string address = port_->address();
  std::vector<std::string> coordinator = {"--config", options_.config, "--listen", address, "--resume", "auto"};
  for (const std::string& override : options_.overrides) coordinator.insert(coordinator.end(), {"--set", override});
  const std::vector<std::string> member = {"--coordinator", address, "--connect-timeout", kWaits};
  members_.push_back({"coordinator-0", "arcshard-coordinator", coordinator, nullptr});
  for (uint32_t i = 0; i < options_.shards; ++i) {
    members_.push_back({absl::StrCat("shard-", i), "arcshard-shard", member, nullptr});
  }
  for (uint32_t i = 0; i < options_.workers; ++i) {
    members_.push_back({absl::StrCat("worker-", i), "arcshard-worker", member, nullptr});
  }
  for (Member& each : members_) Start(&each, "");
  auto watch = cli::WatchClient::Start(address);
  EXPECT_TRUE(watch.ok()) << watch.status();
  watch_ = *std::move(watch);
}

std::string Cluster::log(size_t i) const { return absl::StrCat(options_.logs, "/", name(i), ".log"); }

void Cluster::Start(Member* member, const std::string& why) {
  auto process = cli::Process::Start({.program = absl::StrCat(ARCSHARD_BIN_DIR "/", member->program),
                                      .arguments = member->arguments,
                                      .environment = {"OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1"},
                                      .log = absl::StrCat(options_.logs, "/", member->name, ".log"),
                                      .why = why});
  EXPECT_TRUE(process.ok()) << process.status();
  member->process = *std::move(process);
}

void Cluster::Kill(size_t i) {
  Drain();
  const uint64_t life = life_, recoveries = last_.recoveries();
  Member& member = members_.at(i);
  member.process->Signal(SIGKILL);
  AwaitDeath(member.process->pid());
  const std::optional<cli::ProcessExit> exit = member.process->Poll();
  EXPECT_TRUE(exit.has_value() && exit->signal == SIGKILL) << member.name << " has ended by itself";
  Start(&member, "the test has killed it");
  AwaitReport([&](const v1::Progress& report) {
    const bool recovered = report.recoveries() > (life_ > life ? 0 : recoveries);
    return recovered && report.phase() == v1::Progress::PHASE_TRAINING;
  });
}

void Cluster::Drain() {
  for (v1::Progress& report : watch_->Take()) reports_.push_back(std::move(report));
  if (!reports_.empty()) last_ = std::move(reports_.back());
  reports_.clear();
}

void Cluster::Supervise() {
  for (Member& member : members_) {
    if (member.ended) continue;
    const std::optional<cli::ProcessExit> exit = member.process->Poll();
    if (!exit.has_value()) continue;
    member.ended = exit->ok();
    if (member.ended) continue;
    ADD_FAILURE() << member.name << " " << cli::Describe(*exit) << "; its log is\n"
                  << ReadFile(absl::StrCat(options_.logs, "/", member.name, ".log")).value_or("");
    Start(&member, "it had ended by itself");
  }
}

void Cluster::AwaitEvent() {
  std::vector<FileDescriptor> processes;
  std::vector<pollfd> fds = {{watch_->fd(), POLLIN, 0}};
  for (const Member& member : members_) {
    if (member.ended) continue;
    processes.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, member.process->pid(), 0)));
    fds.push_back({processes.back().get(), POLLIN, 0});
  }
  EXPECT_GT(poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(kPatience))), 0)
      << "nothing has happened for " << absl::FormatDuration(kPatience);
}

v1::Progress Cluster::AwaitReport(const std::function<bool(const v1::Progress&)>& wanted) {
  while (!::testing::Test::HasFailure()) {
    Supervise();
    const bool over = members_.front().ended;  // a stream that waits for a later life of it ends no more
    if (over) watch_->AwaitEnd(kLastReports);
    const bool ended = watch_->ended();
    for (v1::Progress& report : watch_->Take()) reports_.push_back(std::move(report));
    while (!reports_.empty()) {
      last_ = std::move(reports_.front());
      reports_.pop_front();
      if (wanted(last_)) return last_;
    }
    if (over) return last_;
    if (ended) {
      watch_->Reopen();
      ++life_;
    }
    AwaitEvent();
  }
  return last_;
}

v1::Progress Cluster::AwaitSteps(uint64_t steps) {
  Drain();
  std::optional<uint64_t> first;
  return AwaitReport([&](const v1::Progress& report) {
    if (!first.has_value()) first = report.step();
    return report.step() >= *first + steps;
  });
}

v1::Progress Cluster::AwaitEnd() {
  AwaitReport([](const v1::Progress&) { return false; });
  for (const Member& member : members_) AwaitDeath(member.process->pid());
  Supervise();
  for (const Member& member : members_) EXPECT_TRUE(member.ended) << member.name << " has not ended in order";
  return last_;
}

}  // namespace arcshard
