#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "coordinator/run/run.h"
#include "coordinator/run/run_output.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/sim_participant.h"
#include "tests/simulation/world.h"

namespace arcshard::simulation {

// A coordinator: the real Run, ticked and fed by the simulated network, with the simulated disk for its files.
class SimCoordinator final : public Process,
                             public std::enable_shared_from_this<SimCoordinator>,
                             private coordinator::Outbox,
                             private coordinator::CheckpointKeeper,
                             private coordinator::ProgressSink {
 public:
  SimCoordinator(World* world, Directory* directory, Disk* disk, const RunConfig* config, std::string host);

  void Start();  // takes the next incarnation and the newest checkpoint
  std::shared_ptr<AttendStream> Accept(StreamEnd<CoordinatorMessage> client);
  void RequestStop();

  const coordinator::Run& run() const { return *run_; }
  const coordinator::Progress& progress() const { return progress_; }
  uint64_t incarnation() const { return incarnation_; }
  const View& view() const { return view_; }              // the newest that it has announced
  const StatePoint& decided() const { return decided_; }  // the state after the last decision

 private:
  void Tick();
  void Drain();
  void Send(coordinator::Connection to, const std::shared_ptr<const CoordinatorMessage>& message) override;
  void Close(coordinator::Connection to, const absl::Status& status) override;
  void Complete(const std::string& folder, Manifest manifest) override;
  void Abandon(const std::string& folder) override;
  void DeleteSuperseded() override;
  void Report(const coordinator::Progress& progress) override { progress_ = progress; }
  void Note(const std::string& sentence) override { directory_->Log(host() + ": " + sentence); }
  void CameOrWent(const std::string& sentence) override { directory_->Log(host() + ": " + sentence); }
  void ViewFormed(const ViewAnnouncement&) override {}
  void StepDecided(const coordinator::StepSummary&) override {}
  void CheckpointSettled(const coordinator::CheckpointSummary&) override {}
  void Recovered(const coordinator::RecoverySummary&) override {}

  World* const world_;
  Directory* const directory_;
  Disk* const disk_;
  const RunConfig* const config_;
  uint64_t incarnation_ = 0;
  std::unique_ptr<coordinator::Run> run_;
  std::map<coordinator::Connection, std::shared_ptr<AttendStream>> streams_;
  coordinator::Connection last_ = 0;
  coordinator::Progress progress_;
  bool ended_ = false;
  View view_;
  StatePoint decided_;
};

}  // namespace arcshard::simulation
