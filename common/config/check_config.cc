#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace arcshard {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckData(const RunConfig::Data& data, const RunConfig::Head& head) {
  const bool synthetic = data.format == "synthetic";
  if (data.train.empty() && !synthetic) {
    return Refuse("data.train is missing: the folder with train.rec, train.idx and property, the folder of images, or ",
                  "the list file (none is needed with data.format synthetic)");
  }
  if (synthetic && head.classes == 0) {
    return Refuse("data.format synthetic needs head.classes: there are no files to count them in");
  }
  if (!data.root.empty() && data.format != "auto" && data.format != "list") {
    return Refuse("data.root (", data.root,
                  ") is the folder that the paths of a list are relative to, but data.format is ", data.format);
  }
  if (data.micro_batch_size > data.batch_size) {
    return Refuse("data.micro_batch_size (", data.micro_batch_size, ") must be at most data.batch_size (",
                  data.batch_size, ")");
  }
  if (data.image_size % 16 != 0) {
    return Refuse("data.image_size (", data.image_size,
                  ") must be a multiple of 16: the backbone halves images four times");
  }
  return absl::OkStatus();
}

absl::Status CheckBackbone(const RunConfig::Backbone& backbone, int image_size) {
  if ((backbone.name == "mobilefacenet" || backbone.name == "none") && backbone.dropout.value_or(0) != 0) {
    return Refuse("backbone.dropout (", *backbone.dropout, ") must be 0 or auto with backbone.name ", backbone.name,
                  ", which has no place for it");
  }
  const int64_t values = int64_t{3} * image_size * image_size;
  if (backbone.name == "none" && backbone.embedding_size > values) {
    return Refuse("backbone.embedding_size (", backbone.embedding_size, ") must be at most ", values,
                  ", the values of an image, with backbone.name none");
  }
  return absl::OkStatus();
}

absl::Status CheckLoss(const RunConfig::Loss& loss) {
  if (loss.margin == "sphereface" && loss.m < 1) {
    return Refuse("loss.m (", loss.m,
                  ") must be at least 1 with loss.margin sphereface, which multiplies the angle by it");
  }
  const double m1 = loss.margin == "sphereface" ? loss.m : loss.margin == "combined" ? loss.m1 : 1.0;
  if (loss.monotonic && m1 != 1.0) {
    return Refuse("loss.monotonic needs a margin that leaves the angle's factor m1 at 1; with loss.margin ",
                  loss.margin, " it is ", m1);
  }
  if (loss.magface_low >= loss.magface_high) {
    return Refuse("loss.magface_low (", loss.magface_low, ") must be below loss.magface_high (", loss.magface_high,
                  ")");
  }
  if (loss.magface_low_margin > loss.magface_high_margin) {
    return Refuse("loss.magface_low_margin (", loss.magface_low_margin, ") must be at most loss.magface_high_margin (",
                  loss.magface_high_margin, ")");
  }
  return absl::OkStatus();
}

absl::Status CheckSchedule(const RunConfig::Schedule& schedule) {
  if (schedule.warmup_epochs > schedule.epochs) {
    return Refuse("schedule.warmup_epochs (", schedule.warmup_epochs, ") must be at most schedule.epochs (",
                  schedule.epochs, ")");
  }
  if (schedule.kind != "steps" && schedule.end_lr > schedule.lr) {
    return Refuse("schedule.end_lr (", schedule.end_lr, ") must be at most schedule.lr (", schedule.lr, ")");
  }
  for (size_t i = 1; i < schedule.drop_epochs.size(); ++i) {
    if (schedule.drop_epochs[i] <= schedule.drop_epochs[i - 1]) {
      return Refuse("schedule.drop_epochs must ascend, but ", schedule.drop_epochs[i], " follows ",
                    schedule.drop_epochs[i - 1]);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckVerification(const RunConfig::Verification& verification) {
  const std::vector<std::string>& names = verification.names;
  if (!names.empty() && names.size() != verification.sets.size()) {
    return Refuse("verification.names has ", names.size(), " names, but verification.sets ", verification.sets.size(),
                  " sets; each set needs one, in the same order");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) return Refuse("verification.names has an empty name, for ", verification.sets[i]);
    if (std::find(names.begin(), names.begin() + i, names[i]) != names.begin() + i) {
      return Refuse("verification.names gives two sets the name ", names[i]);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckInitFrom(const RunConfig& config) {
  const RunConfig::InitFrom& init_from = config.init_from;
  if (init_from.checkpoint.empty()) {
    if (!init_from.classes.empty() || init_from.moments || init_from.parts != "both") {
      return Refuse("init_from.checkpoint is missing: the other keys of init_from say what is taken from it");
    }
    return absl::OkStatus();
  }
  if (init_from.parts != "head" && !config.backbone.init.empty()) {
    return Refuse("init_from.checkpoint (", init_from.checkpoint, ") and backbone.init (", config.backbone.init,
                  ") both give the backbone's first weights; init_from.parts head leaves them to backbone.init");
  }
  if (init_from.parts != "backbone" && !config.head.init.empty()) {
    return Refuse("init_from.checkpoint (", init_from.checkpoint, ") and head.init (", config.head.init,
                  ") both give the first class centers; init_from.parts backbone leaves them to head.init");
  }
  if (init_from.parts == "backbone" && !init_from.classes.empty()) {
    return Refuse("init_from.classes (", init_from.classes, ") says which class centers are taken, but ",
                  "init_from.parts is backbone");
  }
  return absl::OkStatus();
}

absl::Status CheckCluster(const RunConfig::Cluster& cluster) {
  if (cluster.heartbeat_timeout < 2 * cluster.heartbeat_interval) {
    return Refuse("cluster.heartbeat_timeout (", absl::FormatDuration(cluster.heartbeat_timeout),
                  ") must be at least twice cluster.heartbeat_interval (",
                  absl::FormatDuration(cluster.heartbeat_interval), "): one late heartbeat must not count as a death");
  }
  if (cluster.rejoin_timeout < cluster.rejoin_grace) {
    return Refuse("cluster.rejoin_timeout (", absl::FormatDuration(cluster.rejoin_timeout),
                  ") must be at least cluster.rejoin_grace (", absl::FormatDuration(cluster.rejoin_grace),
                  "): the run must not end before it has continued without a lost worker");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRunConfig(const RunConfig& config) {
  RunConfig copy = config;
  for (const ConfigKey& key : ConfigKeys(&copy)) {
    const absl::Status status = CheckValue(key);
    if (!status.ok()) return Refuse(key.name, " ", status.message());
  }
  RETURN_IF_ERROR(CheckData(config.data, config.head));
  RETURN_IF_ERROR(CheckBackbone(config.backbone, config.data.image_size));
  RETURN_IF_ERROR(CheckLoss(config.loss));
  RETURN_IF_ERROR(CheckSchedule(config.schedule));
  RETURN_IF_ERROR(CheckVerification(config.verification));
  RETURN_IF_ERROR(CheckInitFrom(config));
  return CheckCluster(config.cluster);
}

}  // namespace arcshard
