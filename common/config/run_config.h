#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace arcshard {

// A run's configuration, with its defaults. schema.cc has the name, unit, check and help text of each key.
struct RunConfig {
  struct Run {
    std::string folder = "runs/run";  // for everything the run writes; is created
    uint64_t seed = 1;                // for weights, sample order, augmentation
    bool deterministic = false;       // one micro-batch at a time, in order: bit-equal when run twice
    uint32_t max_skips = 10;          // skipped steps in a row that end the run
    bool record = false;              // keep every step's inputs in folder/record, for arcshard check
    bool tensorboard = false;         // write event files for TensorBoard to folder/tensorboard
  } run;

  struct Data {
    std::string train;                   // the training set; see format
    std::string format = "auto";         // auto | recordio | seed | folders | list | synthetic
    std::string root;                    // list: folder of its relative paths; empty: the list's own
    int64_t synthetic_samples = 100000;  // synthetic: images in an epoch
    int image_size = 112;                // pixels; images are resized to image_size × image_size
    uint32_t batch_size = 128;           // samples in a step, over all workers
    uint32_t micro_batch_size = 64;      // samples in a forward pass; the unit of BatchNorm, messages and assignment
    std::string last_batch = "drop";     // drop | keep: an epoch's incomplete last batch
    bool flip = true;                    // mirror half of the images left to right
    double rotate_degrees = 0.0;         // jitter, uniform within ±, of training images
    double translate = 0.0;              // share of the image's side, within ±
    double scale = 0.0;                  // relative, within ±
    double pixel_mean = 127.5;           // (pixel - mean) / std
    double pixel_std = 127.5;
    int loader_threads = 1;           // per worker
    int prefetch = 2;                 // micro-batches decoded ahead, per worker
    double max_corrupt_share = 0.01;  // of the records; with more the run ends
    bool log_samples = false;         // logs/samples-worker-<id>.jsonl: the samples of each micro-batch
  } data;

  struct Backbone {
    std::string name =
        "iresnet50";           // iresnet18 | ... | iresnet200 | mobilefacenet | faceresnet18 | 34 | 50 | 100 | none
    int width = 64;            // channels of the first stage, to which the others are proportional; 64: as published
    int embedding_size = 512;  // D
    std::optional<double> dropout;    // before the last linear layer; no value: auto, the architecture's default
    std::string compute = "float32";  // float32 | bfloat16: autocast
    std::string init;                 // safetensors with the first weights; empty: drawn from the seed
    std::vector<std::string> freeze;  // layers and parameters that are not trained
  } backbone;

  struct Head {
    int64_t classes = 0;              // N; 0: taken from the data
    double scale = 64.0;              // s of the logits, at most 80
    std::string init;                 // safetensors with the first class centers; empty: drawn from the seed
    bool standardize = false;         // embeddings, per micro-batch and dimension, before the head
    int64_t exp_budget_mb = 256;      // per shard: exponentials kept from pass 1 for pass 2
    double sample_rate = 1.0;         // share of the negative classes that take part in a step
    double filter = 1.0;              // negatives with a larger cosine get logit 0; 1: no filter
    std::string compute = "float32";  // float32 | bfloat16: factors of the products
    std::string weights = "float32";  // float32 | bfloat16: as stored
    std::string moments = "float32";  // float32 | bfloat16: as stored
  } head;

  struct Loss {
    std::string margin =
        "arcface";  // arcface | cosface | sphereface | combined | softmax | elastic | adaface | magface
    double m1 = 1.0, m2 = 0.0, m3 = 0.0;  // combined: cos(m1·theta + m2) - m3
    double m = 0.5;                       // arcface's m2, cosface's m3, sphereface's m1, elastic's and adaface's mean
    std::string gradient = "exact";       // exact | straight_through
    bool monotonic = false;               // continue the target logit linearly past pi
    double elastic_std = 0.0125;          // spread of elastic's margins
    double adaface_h = 0.333;             // concentration
    double adaface_t_alpha = 0.01;        // weight of a step in the running averages of the norm
    double magface_low = 10.0, magface_high = 110.0, magface_low_margin = 0.45, magface_high_margin = 0.8;
    double magface_lambda = 35.0;  // weight of the norm's regulariser
    std::string class_weights;     // safetensors with one float32 per class ("weights"); empty: all 1
  } loss;

  struct Optimizer {
    std::string kind = "sgd";                           // sgd | adamw
    double momentum = 0.9;                              // sgd
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adamw
    double weight_decay = 5e-4;
    double clip_grad_norm = 0.0;  // largest norm of the backbone's gradient; 0: no clipping
  } optimizer;

  struct Schedule {
    double epochs = 20;               // length of the run
    double lr = 0.1;                  // after warm-up
    double lr_batch_size = 0.0;       // batch that the learning rates are meant for; 0: this run's
    std::string kind = "polynomial";  // polynomial | steps | cosine
    double power = 2.0;               // polynomial: exponent
    double end_lr = 0.0;              // polynomial and cosine: at the end
    std::vector<double> drop_epochs;  // steps: where lr is multiplied by drop_factor
    double drop_factor = 0.1;
    double warmup_epochs = 0.0;           // linear from 0
    std::optional<double> warmup_end_lr;  // at the warm-up's last step; no value: auto, lr
  } schedule;

  struct Verification {
    std::vector<std::string> sets;   // .bin files
    std::vector<std::string> names;  // of the sets, in their order; empty: the files' names
    double every_epochs = 0.0;       // 0: not by epochs
    uint64_t every_steps = 0;        // 0: not by steps. The end of the run always verifies
    bool keep_best = true;           // write model/best_backbone.safetensors at the best mean accuracy so far
  } verification;

  struct Checkpoint {
    double every_minutes = 10.0;  // 0: none by the clock
    uint64_t every_steps = 0;     // 0: none by steps. The end of the run always takes one
    uint32_t keep_last = 3;       // number of complete ones to keep
    uint64_t keep_every = 0;      // those of multiples of this step are all kept; 0: none
    int64_t buffer_mb = 1024;     // per shard: for copies of rows that the next update changes
  } checkpoint;

  // Takes the first weights of a new run from a checkpoint of another run.
  struct InitFrom {
    std::string checkpoint;      // folder of a run, for its newest one, or of a checkpoint; empty: none
    std::string parts = "both";  // both | backbone | head
    std::string classes;         // file with each class's number in the checkpoint, or new; empty: the same numbers
    bool moments = false;        // the optimizer's moments too
  } init_from;

  struct Cluster {
    uint32_t shards = 1;  // the coordinator waits for so many shards and workers
    uint32_t workers = 1;
    uint32_t max_in_flight = 4;                          // micro-batches of a worker that wait for statistics
    std::string wire = "float32";                        // float32 | bfloat16: embeddings and statistics, as sent
    int shard_threads = 1;                               // for a shard's passes
    int worker_threads = 1;                              // for a worker's backbone
    absl::Duration connect_timeout = absl::Seconds(60);  // how long to wait for the others to appear
    absl::Duration heartbeat_interval = absl::Seconds(1);
    absl::Duration heartbeat_timeout = absl::Seconds(8);  // a process silent for so long counts as dead
    int64_t log_mb = 1024;  // per shard: inputs of the steps since the last checkpoint; 0: no log
    absl::Duration recovery_target = absl::Seconds(30);  // how long a replay of the log may take
    absl::Duration rejoin_grace = absl::Seconds(9);      // how long to wait for a lost worker
    absl::Duration rejoin_timeout = absl::Minutes(10);   // how long to wait for a lost shard or coordinator
  } cluster;
};

// The name that the file of a verification set gives it: its own without folder and suffix, or for PLSC's label.txt
// that of its folder.
std::string NameOfSetFile(const std::string& path);

// The name of each of verification.sets, as reports and logs have it: verification.names, or that of its file, with a
// number where two would be the same.
std::vector<std::string> NamesOfSets(const RunConfig::Verification& verification);

// The name of the set at `path`, one of verification.sets.
std::string NameOfSet(const RunConfig::Verification& verification, const std::string& path);

// The schedule with the learning rates that the run uses: multiplied by data.batch_size / schedule.lr_batch_size.
RunConfig::Schedule ScaledSchedule(const RunConfig& config);

}  // namespace arcshard
