#include "tests/faults/fault_run.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cli/supervision/supervisor.h"
#include "cli/train/announcement.h"
#include "cli/train/run_processes.h"
#include "cli/train/watch_client.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/net/port_reservation.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard::faults {
namespace {

std::string YamlOf(const FaultRun& run) {
  const Configuration& configuration = run.configuration;
  const bool large = configuration.large_tensors;
  // 40 floats of 8192 dimensions are more than 1 MiB.
  const int micro_batch = large ? 40 : 4;
  return absl::StrCat("run: {folder: ", run.folder, "/run, seed: 3, deterministic: true}\n",
                      "data: {format: synthetic, synthetic_samples: ", 20 * micro_batch,
                      ", image_size: 16, batch_size: ", 4 * micro_batch, ", micro_batch_size: ", micro_batch, "}\n",
                      "backbone: {name: iresnet18, width: 4, embedding_size: ", large ? 8192 : 32,
                      ", compute: ", configuration.compute, "}\n", configuration.yaml,
                      "schedule: {epochs: 2, lr: 0.05}\n", "verification: {sets: [", run.verifies ? run.set : "",
                      "], every_steps: 6}\n", "checkpoint: {every_minutes: 0, every_steps: 4}\n",
                      "cluster: {shards: ", run.members, ", workers: ", run.members,
                      ", connect_timeout: 10m, heartbeat_interval: 10ms, heartbeat_timeout: 2m, rejoin_grace: 20s, "
                      "rejoin_timeout: 10m}\n");
}

// The tensors of a safetensors file, without the metadata, which name the view that wrote it.
std::string TensorsOf(const std::string& path) {
  const std::string text = ReadFile(path).value_or("");
  uint64_t size = 0;
  if (text.size() < sizeof(size)) return "";
  text.copy(reinterpret_cast<char*>(&size), sizeof(size));
  nlohmann::json header = nlohmann::json::parse(text.substr(sizeof(size), size));
  header.erase("__metadata__");
  return absl::StrCat(header.dump(), text.substr(sizeof(size) + size));
}

// What the processes that died have left unfinished, and no other has removed.
std::vector<std::string> LitterIn(const std::string& run_folder) {
  std::vector<std::string> litter;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(run_folder)) {
    if (AtomicFile::IsTemporaryName(entry.path().filename().string())) litter.push_back(entry.path());
  }
  for (const auto& checkpoint : std::filesystem::directory_iterator(CheckpointsOf(run_folder))) {
    if (!std::filesystem::exists(checkpoint.path() / "manifest.json")) litter.push_back(checkpoint.path());
  }
  return litter;
}

class Launcher {
 public:
  Launcher(const FaultRun& run, Inspector* inspector)
      : run_(run), yaml_(run.folder + "/run.yaml"), proxy_(inspector), supervisor_({}, &clock_) {
    std::ofstream(yaml_) << YamlOf(run_);
    options_.config = yaml_;
  }

  absl::Status Carry() {
    ASSIGN_OR_RETURN(config_, LoadRunConfig(yaml_, {}));
    RETURN_IF_ERROR(StartAll());
    const MonotonicTime give_up = clock_.Now() + kPatience;
    while (!supervisor_.all_ended()) {
      AwaitEvent(give_up);
      TakeAnnouncement();
      TakeReports();
      supervisor_.Update();
      for (const std::string& sentence : supervisor_.TakeNews()) absl::StrAppend(&news_, sentence, "\n");
      if (clock_.Now() >= give_up) return absl::DeadlineExceededError("the run does not end");
    }
    return absl::OkStatus();
  }

  Outcome Result() const {
    const cli::RunEnd end = supervisor_.End();
    Outcome outcome{.status = end.status,
                    .sentence = end.sentence,
                    .news = news_,
                    .restarts = supervisor_.restarts(),
                    .litter = LitterIn(run_.folder + "/run"),
                    .model = {}};
    for (const absl::string_view line :
         absl::StrSplit(ReadFile(run_.folder + "/run/metrics.jsonl").value_or(""), '\n', absl::SkipEmpty())) {
      const nlohmann::json json = nlohmann::json::parse(line);
      if (json["kind"] == "end") outcome.steps = json.at("step");
      if (json["kind"] == "recovery") outcome.lost_steps += json.value("lost_steps", uint64_t{0});
    }
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(run_.folder + "/run/model", error)) {
      outcome.model[file.path().filename()] = TensorsOf(file.path());
    }
    return outcome;
  }

 private:
  absl::StatusOr<std::unique_ptr<cli::Process>> Launch(cli::Role role, uint32_t index, cli::Process::Options process) {
    process.program = absl::StrCat(ARCSHARD_BIN_DIR "/", cli::ProgramOf(role));
    process.log = LogOf(role, index);
    return cli::Process::Start(process);
  }
  std::string LogOf(cli::Role role, uint32_t index) const {
    return absl::StrCat(run_.folder, "/", cli::ProgramOf(role), "-", index, ".log");
  }

  absl::Status StartAll() {
    {
      ASSIGN_OR_RETURN(port_, PortReservation::Take());
      ASSIGN_OR_RETURN(const FileDescriptor to, announcement_.Open());
      cli::Process::Options process = cli::CoordinatorProcess(options_, port_->address(), to.get());
      RETURN_IF_ERROR(Add(cli::Role::kCoordinator, 0, std::move(process)));
    }
    while (announcement_.address().empty() && announcement_.fd() >= 0) {
      AwaitReadable(announcement_.fd());
      announcement_.Read();
    }
    address_ = announcement_.address();
    if (address_.empty()) return absl::UnavailableError("the coordinator does not listen");
    proxy_.SetCoordinator(address_, static_cast<pid_t>(supervisor_.running().front().pid));
    for (uint32_t i = 0; i < run_.members; ++i) {
      RETURN_IF_ERROR(Add(cli::Role::kShard, i, cli::ShardProcess(options_, config_, proxy_.address(), i)));
      RETURN_IF_ERROR(Add(cli::Role::kWorker, i, cli::WorkerProcess(options_, config_, proxy_.address(), i)));
    }
    ASSIGN_OR_RETURN(watch_, cli::WatchClient::Start(address_));
    supervisor_.RestartBy([this](cli::Role role, uint32_t index, const std::string&) { return Again(role, index); });
    return absl::OkStatus();
  }

  absl::Status Add(cli::Role role, uint32_t index, cli::Process::Options process) {
    const Kind kind = role == cli::Role::kCoordinator ? Kind::kCoordinator
                      : role == cli::Role::kShard     ? Kind::kShard
                                                      : Kind::kWorker;
    if (const auto more = run_.first_lives.find(kind); more != run_.first_lives.end()) {
      process.environment.insert(process.environment.end(), more->second.begin(), more->second.end());
    }
    ASSIGN_OR_RETURN(std::unique_ptr<cli::Process> started, Launch(role, index, std::move(process)));
    supervisor_.Add(role, index, std::move(started), LogOf(role, index));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<cli::Process>> Again(cli::Role role, uint32_t index) {
    if (role == cli::Role::kShard) {
      return Launch(role, index, cli::LaterShardProcess(options_, config_, proxy_.address(), index));
    }
    if (role == cli::Role::kWorker) {
      return Launch(role, index, cli::WorkerProcess(options_, config_, proxy_.address(), index));
    }
    ASSIGN_OR_RETURN(const FileDescriptor to, announcement_.Open());
    ASSIGN_OR_RETURN(std::unique_ptr<cli::Process> started,
                     Launch(role, 0, cli::LaterCoordinatorProcess(yaml_, address_, to.get())));
    proxy_.SetCoordinator("", started->pid());
    listens_ = false;
    return started;
  }

  void AwaitEvent(MonotonicTime give_up) {
    std::vector<FileDescriptor> processes;
    std::vector<pollfd> fds = {{watch_->fd(), POLLIN, 0}};
    for (const cli::RunningProcess& process : supervisor_.running()) {
      processes.emplace_back(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0)));
      fds.push_back({processes.back().get(), POLLIN, 0});
    }
    if (!listens_ && announcement_.fd() >= 0) fds.push_back({announcement_.fd(), POLLIN, 0});
    const MonotonicTime deadline = std::min(supervisor_.deadline(), give_up);
    const timespec timeout = absl::ToTimespec(std::max(deadline - clock_.Now(), absl::ZeroDuration()));
    ppoll(fds.data(), fds.size(), &timeout, nullptr);
  }

  void TakeAnnouncement() {
    if (listens_ || announcement_.fd() < 0) return;
    announcement_.Read();
    if (announcement_.address().empty()) return;
    listens_ = true;
    watch_->Reopen();
  }

  void TakeReports() {
    const std::vector<v1::Progress> reports = watch_->Take();
    if (reports.empty()) return;
    const auto phase = reports.back().phase();
    supervisor_.NoteRunEnds(phase == v1::Progress::PHASE_STOPPING || phase == v1::Progress::PHASE_FINISHED ||
                            phase == v1::Progress::PHASE_FAILED);
  }

  const FaultRun run_;
  const std::string yaml_;
  const SystemClock clock_;
  cli::TrainOptions options_;
  RunConfig config_;
  Proxy proxy_;
  std::optional<PortReservation> port_;
  cli::Announcement announcement_;
  std::string address_;  // of the coordinator
  bool listens_ = true;  // its latest life does
  std::unique_ptr<cli::WatchClient> watch_;
  cli::Supervisor supervisor_;
  std::string news_;
};

}  // namespace

const std::vector<Configuration>& Configurations() {
  static const auto* const kAll = new std::vector<Configuration>{
      {"Sgd", "head: {classes: 30, scale: 32}\nloss: {margin: cosface, m: 0.4}\n"},
      {"AdamW",
       "head: {classes: 30, scale: 32, sample_rate: 0.3}\nloss: {margin: adaface, m: 0.4}\noptimizer: {kind: adamw}\n"},
      {"Bfloat16",
       "head: {classes: 30, scale: 32, compute: bfloat16, weights: bfloat16, moments: bfloat16}\n"
       "loss: {margin: arcface}\n",
       "bfloat16"},
  };
  return *kAll;
}

Configuration WithLargeTensors() {
  Configuration large = Configurations().front();
  large.name = "LargeTensors";
  large.large_tensors = true;
  return large;
}

Outcome Carry(const FaultRun& run, Inspector* inspector) {
  Launcher launcher(run, inspector);
  const absl::Status status = launcher.Carry();
  EXPECT_TRUE(status.ok()) << status;
  return launcher.Result();
}

}  // namespace arcshard::faults
