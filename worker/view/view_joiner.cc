#include "worker/view/view_joiner.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "worker/backbone/device_move.h"
#include "worker/training/run_backbone.h"
#include "worker/training/share_state.h"
#include "worker/training/trainer_setup.h"
#include "worker/view/connect_limit.h"

namespace arcshard::worker {

ViewJoiner::ViewJoiner(Options options) : options_(std::move(options)) {
  assert(options_.config != nullptr && options_.dataset != nullptr && options_.clock != nullptr);
  assert(options_.phases != nullptr && options_.metrics != nullptr && options_.connections != nullptr);
}

absl::StatusOr<double> ViewJoiner::Join(const WorkerProtocol::JoinView& join, const Self& self,
                                        const std::function<void()>& restored) {
  using Source = WorkerProtocol::Source;
  const ViewAnnouncement& view = join.view;
  const MonotonicTime begun = options_.clock->Now();
  double seconds = 0.0;
  const auto told = [&] {
    if (join.source != Source::kKeep) seconds = absl::ToDoubleSeconds(options_.clock->Now() - begun);
    restored();
  };
  options_.connections->Clear();  // a shard has one stream of each worker
  if (join.source == Source::kBase) RETURN_IF_ERROR(TakeBase(view, self.id));
  if (join.source != Source::kCopy) told();
  if (trainer_ == nullptr) RETURN_IF_ERROR(MakeTrainerFor(view, self.id, /*from_elsewhere=*/false));
  RETURN_IF_ERROR(Connect(join, self));
  if (join.sender.has_value()) {
    const bool takes = join.source == Source::kCopy;
    const int sender = static_cast<int>(*join.sender);
    RETURN_IF_ERROR(ShareState(seat_.all_reduce, sender, takes, trainer_->state()));
    if (takes) {
      LogInfo(absl::StrCat("has the state after step ", view.state.step, " from worker ", view.workers[sender].id));
      told();
    }
  }
  trainer_->Enter(seat_);
  return seconds;
}

absl::Status ViewJoiner::TakeBase(const ViewAnnouncement& view, uint32_t id) {
  const bool fresh = view.checkpoint.empty();
  trainer_.reset();  // nothing of another state remains, and no memory is needed for both
  RETURN_IF_ERROR(MakeTrainerFor(view, id, fresh));
  if (fresh) return InitFromCheckpoint(options_.config->init_from, trainer_->state());
  return BlameCheckpoint(ResumeFromCheckpoint(view.checkpoint, view.base, trainer_->state()));
}

absl::Status ViewJoiner::MakeTrainerFor(const ViewAnnouncement& view, uint32_t id, bool from_elsewhere) {
  const RunConfig& config = *options_.config;
  RunConfig first = config;
  if (!from_elsewhere) first.backbone.init.clear();
  ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone, MakeBackbone(first, view.num_classes));
  MoveTo(options_.device, backbone.get());
  TrainerSetup setup{.config = &config,
                     .dataset = options_.dataset,
                     .num_classes = view.num_classes,
                     .clock = options_.clock,
                     .phases = options_.phases};
  if (config.data.log_samples) {
    const std::string logs = absl::StrCat(config.run.folder, "/logs");
    RETURN_IF_ERROR(CreateFolders(logs));
    setup.sample_log = absl::StrCat(logs, "/samples-worker-", id, ".jsonl");
  }
  ASSIGN_OR_RETURN(trainer_, MakeTrainer(setup, std::move(backbone)));
  return absl::OkStatus();
}

absl::Status ViewJoiner::Connect(const WorkerProtocol::JoinView& join, const Self& self) {
  ViewConnections::Options options;
  options.view = join.view;
  options.position = join.position;
  options.worker = self.id;
  options.token = self.token;
  options.dim = options_.config->backbone.embedding_size;
  options.wire = WireTypeOf(*options_.config);
  options.security = options_.security;
  options.connect_timeout = ConnectLimit(join.view, options_.config->cluster);
  options.interface = options_.interface;
  options.device = options_.device;
  options.clock = options_.clock;
  options.metrics = options_.metrics;
  // Held while they connect, so that whoever aborts them reaches them.
  ViewConnections* const connections = options_.connections->Install(std::make_unique<ViewConnections>(options));
  seat_ = {join.view, join.position, connections->head(), connections->all_reduce(), options_.interruption};
  return connections->Connect();
}

}  // namespace arcshard::worker
