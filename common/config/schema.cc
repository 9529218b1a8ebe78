#include "common/config/schema.h"

#include <utility>

namespace arcshard {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLargestCount = 1 << 20;  // of anything: a larger number is a typing error
constexpr double kMostClasses = 1e9;       // at s = 64 no term of a sum over so many classes underflows (DESIGN §1)

Range AtLeast(double low) { return {.low = low}; }
Range FromTo(double low, double high) { return {.low = low, .high = high}; }
Range Above(double low) { return {.low = low, .low_allowed = false}; }
Range AboveTo(double low, double high) { return {.low = low, .high = high, .low_allowed = false}; }
Range FromBelow(double low, double high) { return {.low = low, .high = high, .high_allowed = false}; }

class Keys {
 public:
  // Returns the key, so that the caller can set on_resume.
  ConfigKey& Add(const char* name, ConfigValue value, ConfigCheck check, const char* unit, const char* help,
                 PathBase path_base = PathBase::kNotAPath) {
    return keys_.emplace_back(ConfigKey{name, value, std::move(check), unit, help, path_base});
  }
  std::vector<ConfigKey> Take() { return std::move(keys_); }

 private:
  std::vector<ConfigKey> keys_;
};

void AddRun(RunConfig::Run& run, Keys& keys) {
  keys.Add("run.folder", &run.folder, {}, "", "folder for everything the run writes; is created",
           PathBase::kConfigFile);
  keys.Add("run.seed", &run.seed, {}, "", "seed of the first weights, the order of samples and augmentation")
      .on_resume = OnResume::kFixed;
  keys.Add("run.deterministic", &run.deterministic, {}, "",
           "one micro-batch at a time, in order: bit-equal when run twice with the same processes");
  keys.Add("run.max_skips", &run.max_skips, FromTo(1, kLargestCount), "steps",
           "so many skipped in a row (a value was not finite) end the run");
  keys.Add("run.record", &run.record, {}, "",
           "keep the inputs of every step in run.folder/record, so that arcshard check can compute the run again");
  keys.Add("run.tensorboard", &run.tensorboard, {}, "",
           "write what metrics.jsonl has for plots to run.folder/tensorboard too, as TensorBoard's event files");
}

void AddData(RunConfig::Data& data, Keys& keys) {
  keys.Add("data.train", &data.train, {}, "",
           "the training set: a folder with train.rec, train.idx and property, a folder of images, or a list file",
           PathBase::kConfigFile);
  keys.Add("data.format", &data.format, OneOf{{"auto", "recordio", "seed", "folders", "list", "synthetic"}}, "",
           "format of data.train; auto: detected from the files; seed: property and folders 00000000, 00000001, ...; "
           "folders: one per class; list: a path and a label per line; synthetic: random images, no files");
  keys.Add("data.root", &data.root, {}, "",
           "folder that the paths in a list are relative to; empty: the list's own folder; list only",
           PathBase::kConfigFile);
  keys.Add("data.synthetic_samples", &data.synthetic_samples, FromTo(2, 1e12), "samples",
           "in an epoch; synthetic only, which needs head.classes");
  keys.Add("data.image_size", &data.image_size, FromTo(16, 1024), "pixels",
           "height and width to which images are resized; a multiple of 16")
      .on_resume = OnResume::kFixed;
  keys.Add("data.batch_size", &data.batch_size, FromTo(2, kLargestCount), "samples", "in a step, over all workers")
      .on_resume = OnResume::kFixed;
  keys.Add("data.micro_batch_size", &data.micro_batch_size, FromTo(2, kLargestCount), "samples",
           "in one forward pass: the unit of BatchNorm statistics, messages and assignment to workers")
      .on_resume = OnResume::kFixed;
  keys.Add("data.last_batch", &data.last_batch, OneOf{{"drop", "keep"}}, "",
           "whether an epoch's incomplete last batch is dropped or kept; a single sample then joins the batch before")
      .on_resume = OnResume::kFixed;
  keys.Add("data.flip", &data.flip, {}, "", "mirror a training image left to right with probability 1/2");
  keys.Add("data.rotate_degrees", &data.rotate_degrees, FromTo(0, 180), "degrees",
           "training images are turned by an angle drawn from within ± this");
  keys.Add("data.translate", &data.translate, FromTo(0, 0.5), "of the image's side",
           "training images are shifted by a distance drawn from within ± this, in x and in y");
  keys.Add("data.scale", &data.scale, FromBelow(0, 1), "relative",
           "training images are scaled by a factor drawn from within 1 ± this");
  keys.Add("data.pixel_mean", &data.pixel_mean, FromTo(0, 255), "", "subtracted from every pixel value (0 to 255)");
  keys.Add("data.pixel_std", &data.pixel_std, AboveTo(0, 255), "", "divisor of the difference");
  keys.Add("data.loader_threads", &data.loader_threads, FromTo(1, 1024), "threads",
           "used to decode images, per worker");
  keys.Add("data.prefetch", &data.prefetch, FromTo(1, 1024), "micro-batches", "decoded ahead, per worker");
  keys.Add("data.max_corrupt_share", &data.max_corrupt_share, FromTo(0, 1), "of the records",
           "share that may fail to decode (each is replaced and counted); with more the run ends");
  keys.Add("data.log_samples", &data.log_samples, {}, "",
           "write run.folder/logs/samples-worker-<id>.jsonl: the numbers of the samples of each micro-batch");
}

void AddBackbone(RunConfig::Backbone& backbone, Keys& keys) {
  keys.Add("backbone.name", &backbone.name,
           OneOf{{"iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200", "mobilefacenet", "faceresnet18",
                  "faceresnet34", "faceresnet50", "faceresnet100", "none"}},
           "",
           "architecture: InsightFace's iresnet and mobilefacenet, the seed chapter's FaceResNet; none: the first "
           "values "
           "of an image are its embedding, which only measures the rest")
      .on_resume = OnResume::kFixed;
  keys.Add("backbone.width", &backbone.width, FromTo(1, 1024), "channels",
           "in the first stage; the others have 1, 2, 4, 8 times as many (mobilefacenet: 2, 2, 4, 4); 64: as published")
      .on_resume = OnResume::kFixed;
  keys.Add("backbone.embedding_size", &backbone.embedding_size, FromTo(1, 8192), "", "dimensions of an embedding, D")
      .on_resume = OnResume::kFixed;
  keys.Add("backbone.dropout", &backbone.dropout, FromBelow(0, 1), "probability",
           "dropout before the last linear layer; must be 0 with mobilefacenet; auto: 0.4 in a faceresnet for at most "
           "20,000 classes, else 0");
  keys.Add(
      "backbone.compute", &backbone.compute, OneOf{{"float32", "bfloat16"}}, "",
      "type of convolutions and activations (autocast); weights, statistics and the last layers stay float32; on a "
      "CPU without AVX512-BF16 or AMX bfloat16 is several times slower than float32");
  keys.Add("backbone.init", &backbone.init, {}, "",
           "safetensors file with all first weights, in the form of model/backbone.safetensors; each worker reads it; "
           "empty: drawn from the seed",
           PathBase::kConfigFile);
  keys.Add("backbone.freeze", &backbone.freeze, {}, "",
           "layers and parameters that are not trained, [conv1, layer1, layer2.0]; their running statistics are still "
           "updated");
}

void AddHead(RunConfig::Head& head, Keys& keys) {
  keys.Add("head.classes", &head.classes, FromTo(0, kMostClasses), "classes",
           "N; 0: taken from the data: property, the number of folders, a list's largest label + 1")
      .on_resume = OnResume::kFixedUnlessZero;
  Range scale = AboveTo(0, 80);
  scale.reason = "the constant shift that keeps sums over all classes inside float32 holds only up to 80";
  keys.Add("head.scale", &head.scale, scale, "", "s, the factor of the cosines");
  keys.Add("head.init", &head.init, {}, "", "safetensors file with the first class centers; empty: drawn from the seed",
           PathBase::kConfigFile);
  keys.Add("head.standardize", &head.standardize, {}, "",
           "bring each dimension of the embeddings to mean 0 and variance 1 over a micro-batch, in training");
  keys.Add("head.exp_budget_mb", &head.exp_budget_mb, FromTo(0, kLargestCount), "MiB",
           "memory per shard for exponentials kept from pass 1; those that do not fit are recomputed in pass 2, with "
           "the same result");
  keys.Add("head.sample_rate", &head.sample_rate, AboveTo(0, 1), "",
           "share of the classes that take part in a step in addition to its targets (Partial FC)");
  Range filter = AboveTo(0, 1);
  filter.reason = "1 turns the filter off; 0, which is off in InsightFace, would filter nearly every negative";
  keys.Add("head.filter", &head.filter, filter, "",
           "negatives with a larger cosine get logit 0 and no gradient (inter-class filter); 1: no filter");
  keys.Add("head.compute", &head.compute, OneOf{{"float32", "bfloat16"}}, "",
           "type of the factors of the head's matrix products; sums stay float32; on a CPU without AVX512-BF16 or AMX "
           "bfloat16 is slower than float32");
  keys.Add("head.weights", &head.weights, OneOf{{"float32", "bfloat16"}}, "",
           "type in which class centers are stored; bfloat16 is rounded stochastically")
      .on_resume = OnResume::kFixed;
  keys.Add("head.moments", &head.moments, OneOf{{"float32", "bfloat16"}}, "",
           "type in which the optimizer's moments of the class centers are stored; bfloat16 is rounded stochastically")
      .on_resume = OnResume::kFixed;
}

void AddLoss(RunConfig::Loss& loss, Keys& keys) {
  keys.Add("loss.margin", &loss.margin,
           OneOf{{"arcface", "cosface", "sphereface", "combined", "softmax", "elastic", "adaface", "magface"}}, "",
           "kind of margin in the target logit s·(cos(m1·theta + m2) - m3)");
  keys.Add("loss.m1", &loss.m1, FromTo(0, 10), "", "factor of the angle; combined only");
  keys.Add("loss.m2", &loss.m2, FromTo(-kPi, kPi), "radians", "added to the angle; combined only");
  keys.Add("loss.m3", &loss.m3, FromTo(-2, 2), "", "subtracted from the cosine; combined only");
  keys.Add("loss.m", &loss.m, FromTo(0, 10), "",
           "the margin: m2 of arcface, m3 of cosface, m1 of sphereface (at least 1), the mean of elastic, m of "
           "adaface; does nothing with combined, softmax and magface");
  keys.Add("loss.gradient", &loss.gradient, OneOf{{"exact", "straight_through"}}, "",
           "slope of the target logit: its derivative (the paper), or s (InsightFace since 2022-12)");
  keys.Add("loss.monotonic", &loss.monotonic, {}, "",
           "continue the target logit linearly where theta + m2 passes pi; needs m1 = 1");
  keys.Add("loss.elastic_std", &loss.elastic_std, FromTo(0, 1), "radians", "spread of the margins; elastic only");
  keys.Add("loss.adaface_h", &loss.adaface_h, FromTo(0, 10), "",
           "how strongly the norm changes the margin; adaface only");
  keys.Add("loss.adaface_t_alpha", &loss.adaface_t_alpha, AboveTo(0, 1), "",
           "weight of a step in the running mean and standard deviation of the norm; adaface only");
  keys.Add("loss.magface_low", &loss.magface_low, Above(0), "", "norm of the smallest margin; magface only");
  keys.Add("loss.magface_high", &loss.magface_high, Above(0), "", "norm of the largest margin; magface only");
  keys.Add("loss.magface_low_margin", &loss.magface_low_margin, FromTo(0, kPi), "radians",
           "smallest margin; magface only");
  keys.Add("loss.magface_high_margin", &loss.magface_high_margin, FromTo(0, kPi), "radians",
           "largest margin; magface only");
  keys.Add("loss.magface_lambda", &loss.magface_lambda, AtLeast(0), "",
           "weight of the norm's regulariser; magface only");
  keys.Add("loss.class_weights", &loss.class_weights, {}, "",
           "safetensors file with one float32 per class (\"weights\"); empty: all 1", PathBase::kConfigFile);
}

void AddOptimizer(RunConfig::Optimizer& optimizer, Keys& keys) {
  keys.Add("optimizer.kind", &optimizer.kind, OneOf{{"sgd", "adamw"}}, "", "optimizer of backbone and class centers")
      .on_resume = OnResume::kFixed;
  keys.Add("optimizer.momentum", &optimizer.momentum, FromBelow(0, 1), "", "weight of the steps before; sgd only");
  keys.Add("optimizer.beta1", &optimizer.beta1, FromBelow(0, 1), "", "decay of the first moment; adamw only");
  keys.Add("optimizer.beta2", &optimizer.beta2, FromBelow(0, 1), "", "decay of the second moment; adamw only");
  keys.Add("optimizer.epsilon", &optimizer.epsilon, AboveTo(0, 1), "",
           "added to the root of the second moment; adamw only");
  keys.Add("optimizer.weight_decay", &optimizer.weight_decay, FromTo(0, 1), "",
           "weight decay of backbone and class centers");
  keys.Add("optimizer.clip_grad_norm", &optimizer.clip_grad_norm, AtLeast(0), "",
           "largest norm of the backbone's gradient; 0: no clipping");
}

void AddSchedule(RunConfig::Schedule& schedule, Keys& keys) {
  keys.Add("schedule.epochs", &schedule.epochs, AboveTo(0, kLargestCount), "epochs", "length of the run");
  keys.Add("schedule.lr", &schedule.lr, FromTo(0, 1000), "", "learning rate after the warm-up");
  keys.Add("schedule.lr_batch_size", &schedule.lr_batch_size, FromTo(0, kLargestCount), "samples",
           "batch that the section's learning rates are meant for: they are multiplied by data.batch_size / this; 0: "
           "they are used as they are");
  keys.Add("schedule.kind", &schedule.kind, OneOf{{"polynomial", "steps", "cosine"}}, "",
           "how the learning rate falls after the warm-up");
  keys.Add("schedule.power", &schedule.power, AboveTo(0, 100), "", "exponent of the fall; polynomial only");
  keys.Add("schedule.end_lr", &schedule.end_lr, FromTo(0, 1000), "",
           "learning rate at the end; polynomial and cosine only");
  keys.Add("schedule.drop_epochs", &schedule.drop_epochs, Above(0), "epochs",
           "the learning rate is multiplied by drop_factor after each of them, ascending; steps only");
  keys.Add("schedule.drop_factor", &schedule.drop_factor, AboveTo(0, 1), "", "factor of the learning rate; steps only");
  keys.Add("schedule.warmup_epochs", &schedule.warmup_epochs, FromTo(0, kLargestCount), "epochs",
           "while the learning rate rises linearly from 0");
  keys.Add("schedule.warmup_end_lr", &schedule.warmup_end_lr, FromTo(0, 1000), "",
           "learning rate of the warm-up's last step; the next one has schedule.lr; auto: schedule.lr");
}

void AddVerification(RunConfig::Verification& verification, Keys& keys) {
  keys.Add("verification.sets", &verification.sets, {}, "", "InsightFace's .bin files or PLSC's lists of pairs",
           PathBase::kConfigFile);
  keys.Add("verification.names", &verification.names, {}, "",
           "names of the sets in reports, logs and metrics, in the order of sets; empty: those of the files");
  keys.Add("verification.every_epochs", &verification.every_epochs, FromTo(0, kLargestCount), "epochs",
           "between verifications; 0: none by epochs; the end of a run always verifies");
  keys.Add("verification.every_steps", &verification.every_steps, FromTo(0, 1e12), "steps",
           "between verifications; 0: none by steps");
  keys.Add("verification.keep_best", &verification.keep_best, {}, "",
           "write the backbone with the best mean accuracy so far to model/best_backbone.safetensors");
}

void AddCheckpoint(RunConfig::Checkpoint& checkpoint, Keys& keys) {
  keys.Add("checkpoint.every_minutes", &checkpoint.every_minutes, FromTo(0, kLargestCount), "minutes",
           "between checkpoints, in run.folder/checkpoints; 0: none by the clock; the end of a run always takes one");
  keys.Add("checkpoint.every_steps", &checkpoint.every_steps, FromTo(0, 1e12), "steps",
           "between checkpoints; 0: none by the number of steps");
  keys.Add("checkpoint.keep_last", &checkpoint.keep_last, FromTo(1, kLargestCount), "checkpoints",
           "number of complete ones to keep; older ones are deleted once a new one is on the disk");
  keys.Add("checkpoint.keep_every", &checkpoint.keep_every, FromTo(0, 1e12), "steps",
           "checkpoints at multiples of this step are all kept; 0: only keep_last decides");
  keys.Add(
      "checkpoint.buffer_mb", &checkpoint.buffer_mb, FromTo(1, kLargestCount), "MiB",
      "memory per shard for copies of class centers and moments while a checkpoint is written; when it is full the "
      "next update waits for the disk");
}

void AddInitFrom(RunConfig::InitFrom& init_from, Keys& keys) {
  keys.Add("init_from.checkpoint", &init_from.checkpoint, {}, "",
           "source of a new run's first weights: the folder of another run, whose newest checkpoint is taken, or of a "
           "checkpoint; empty: drawn from the seed",
           PathBase::kConfigFile);
  keys.Add("init_from.parts", &init_from.parts, OneOf{{"both", "backbone", "head"}}, "",
           "what to take from the checkpoint; the rest is drawn from the seed");
  keys.Add("init_from.classes", &init_from.classes, {}, "",
           "text file with a line per class of this run: the class's number in the checkpoint, or new; empty: the same "
           "numbers, and classes beyond the checkpoint's are new",
           PathBase::kConfigFile);
  keys.Add("init_from.moments", &init_from.moments, {}, "",
           "take the optimizer's moments too; otherwise they begin at 0");
}

void AddCluster(RunConfig::Cluster& cluster, Keys& keys) {
  keys.Add("cluster.shards", &cluster.shards, FromTo(1, 4096), "processes",
           "number of shards that the coordinator waits for");
  keys.Add("cluster.workers", &cluster.workers, FromTo(1, 4096), "processes",
           "number of workers that the coordinator waits for");
  keys.Add("cluster.max_in_flight", &cluster.max_in_flight, FromTo(1, 1024), "micro-batches",
           "so many of a worker may wait for their statistics at a time");
  keys.Add("cluster.wire", &cluster.wire, OneOf{{"float32", "bfloat16"}}, "",
           "type in which embeddings, and the shards' sums over classes and own centers, cross the network; bfloat16 "
           "is half the bytes, rounded to the nearest");
  keys.Add("cluster.shard_threads", &cluster.shard_threads, FromTo(1, 1024), "threads", "used by a shard's passes");
  keys.Add("cluster.worker_threads", &cluster.worker_threads, FromTo(1, 1024), "threads",
           "used by a worker's backbone");
  keys.Add("cluster.connect_timeout", &cluster.connect_timeout, DurationRange{absl::Milliseconds(10), absl::Hours(24)},
           "", "how long a process waits for the others to appear");
  keys.Add("cluster.heartbeat_interval", &cluster.heartbeat_interval,
           DurationRange{absl::Milliseconds(10), absl::Hours(1)}, "", "time between a process's heartbeats");
  keys.Add("cluster.heartbeat_timeout", &cluster.heartbeat_timeout,
           DurationRange{absl::Milliseconds(20), absl::Hours(1)}, "",
           "a process without a heartbeat for so long counts as dead; at least twice the interval");
  keys.Add("cluster.log_mb", &cluster.log_mb, FromTo(0, kLargestCount), "MiB",
           "memory per shard for the inputs of the steps since the last checkpoint, from which the range of another "
           "shard that is lost is computed again; half of it asks for a checkpoint; 0, or one shard: no log, so the "
           "loss of a shard takes the run back to its last checkpoint");
  keys.Add("cluster.recovery_target", &cluster.recovery_target, DurationRange{absl::Milliseconds(10), absl::Hours(24)},
           "",
           "how long the steps since the last checkpoint may take to compute again; half of it asks for a checkpoint");
  keys.Add("cluster.rejoin_grace", &cluster.rejoin_grace, DurationRange{absl::ZeroDuration(), absl::Hours(24)}, "",
           "how long the run waits for a lost worker, from its last sign of life, before it continues without it");
  keys.Add("cluster.rejoin_timeout", &cluster.rejoin_timeout, DurationRange{absl::Milliseconds(10), absl::Hours(24)},
           "", "how long the run waits for a lost shard, and a process for a lost coordinator; at least rejoin_grace");
}

}  // namespace

std::vector<ConfigKey> ConfigKeys(RunConfig* config) {
  Keys keys;
  AddRun(config->run, keys);
  AddData(config->data, keys);
  AddBackbone(config->backbone, keys);
  AddHead(config->head, keys);
  AddLoss(config->loss, keys);
  AddOptimizer(config->optimizer, keys);
  AddSchedule(config->schedule, keys);
  AddVerification(config->verification, keys);
  AddCheckpoint(config->checkpoint, keys);
  AddInitFrom(config->init_from, keys);
  AddCluster(config->cluster, keys);
  return keys.Take();
}

}  // namespace arcshard
