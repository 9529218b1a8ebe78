#include "cli/plan/plan.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command/model_program.h"
#include "cli/display/console.h"
#include "common/base/status_macros.h"
#include "common/config/compute_notes.h"
#include "common/config/head_memory.h"
#include "common/config/load_config.h"
#include "common/text/printable_text.h"
#include "worker/data/open_dataset.h"

namespace arcshard::cli {
namespace {

constexpr double kGiB = 1 << 30;

std::string Size(int64_t bytes) {
  if (bytes < 10240) return absl::StrCat(bytes, " B");
  const double mib = static_cast<double>(bytes) / (1 << 20);
  if (mib < 1) return absl::StrFormat("%.1f KiB", 1024 * mib);
  return mib < 10240 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.1f GiB", mib / 1024);
}

std::string Line(absl::string_view what, int64_t bytes, absl::string_view why) {
  std::string line = absl::StrFormat("  %-18s %10s   %s", what, Size(bytes), why);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string Count(int64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string ShardText(const RunConfig& config, const RunPlan& plan) {
  const ShardBytes& shard = plan.shard;
  const bool adamw = config.optimizer.kind == "adamw", sampled = config.head.sample_rate < 1.0;
  const int64_t budget = config.head.exp_budget_mb << 20;
  std::string text =
      absl::StrCat("\na shard holds ", plan.classes_of_shard, plan.classes_of_shard == 1 ? " class" : " classes", ", ",
                   plan.bytes_per_class, " B each\n");
  text += Line("weights", shard.weights, config.head.weights);
  text += Line("moments", shard.moments, absl::StrCat(config.head.moments, adamw ? ", adamw's two" : ", sgd's one"));
  if (adamw) text += Line("step counts", shard.counts, "adamw's, one for each class");
  text += Line("inverse norms", shard.inverse_norms, "");
  text += Line("kept exponentials", shard.exponentials,
               plan.exponentials_wanted > budget
                   ? absl::StrCat("head.exp_budget_mb; all would be ", Size(plan.exponentials_wanted),
                                  ", the others are computed twice")
                   : absl::StrCat("all; head.exp_budget_mb allows ", Size(budget)));
  if (sampled) {
    text += Line("active classes", shard.active_list, absl::StrCat("a list of about ", plan.classes_in_step));
  }
  text += Line("step buffers", shard.step_buffers, "embeddings and statistics in flight, blocks of threads");
  if (shard.replay_log > 0) {
    text += Line("replay log", shard.replay_log, "steps since the last checkpoint, at most (cluster.log_mb)");
  }
  text += Line("the process", shard.process, "program and libraries, the same for every run");
  text += Line("resident", shard.resident(),
               absl::StrCat("on the CPU; with a GPU all but the process ", shard.replay_log > 0 ? "and the log " : "",
                            "is in its memory"));
  text += Line("checkpoint copies", shard.checkpoint_copies,
               "of the host's memory while a checkpoint is written, at most (checkpoint.buffer_mb)");
  text += Line("checkpoint file", shard.checkpoint_file(), "on the disk, for each checkpoint that is kept");
  if (sampled) {
    absl::StrAppendFormat(
        &text, "  about %d of its classes take part in a step (head.sample_rate %g), %.1f %%\n", plan.classes_in_step,
        config.head.sample_rate,
        100.0 * static_cast<double>(plan.classes_in_step) / static_cast<double>(plan.classes_of_shard));
  }
  return text;
}

std::string StepText(const RunPlan& plan) {
  const StepTraffic& traffic = plan.traffic;
  std::string text = "\na step on the network, without the all-reduce of the workers\n";
  text += Line("a worker sends", traffic.worker_sends, "to all shards: embeddings, labels, two floats a sample");
  text += Line("and receives", traffic.worker_receives, "from all shards: sums over negatives, the own centers");
  text += Line("a shard sends", traffic.shard_sends, "to all workers");
  text += Line("and receives", traffic.shard_receives, "from all workers");
  text += Line("replay record", plan.replay_record,
               plan.shard.replay_log == 0 ? "of one step; each shard keeps two"
                                          : absl::StrCat("of one step; the log of a shard has room for ",
                                                         plan.shard.replay_log / plan.replay_record));
  return text;
}

std::string ChoiceText(const RunPlan& plan, const ShardChoice& choice) {
  const std::string memory = absl::StrFormat("%.4g GiB", static_cast<double>(choice.bytes_per_shard) / kGiB);
  if (choice.shards == 0) {
    return absl::StrCat("\nshards of ", memory, " have no room for any class: the process",
                        choice.replay_log > 0 ? ", the replay log (cluster.log_mb)" : "", " and a step's buffers take ",
                        Size(plan.shard.process + choice.replay_log + plan.shard.step_buffers), "\n");
  }
  return absl::StrCat("\nshards of ", memory, ": ", choice.shards, choice.shards == 1 ? " is" : " are",
                      " needed; one has room for ", choice.classes, " classes\n");
}

absl::StatusOr<int64_t> NumClasses(const RunConfig& config) {
  if (config.head.classes > 0) return config.head.classes;
  const absl::StatusOr<std::unique_ptr<worker::Dataset>> dataset =
      worker::OpenDataset(worker::DatasetOptionsOf(config));
  if (dataset.ok()) return (*dataset)->classes();
  return absl::Status(dataset.status().code(),
                      absl::StrCat("head.classes does not give the number of classes, and neither does the data: ",
                                   absl::string_view(dataset.status().message())));
}

ShardChoice ChoiceOf(const RunConfig& config, int64_t num_classes, int64_t bytes_per_shard) {
  ShardChoice choice{.bytes_per_shard = bytes_per_shard, .shards = ShardsNeeded(config, num_classes, bytes_per_shard)};
  // Where one shard has no room, it would be one of several.
  const int64_t shards = choice.shards == 0 ? 2 : choice.shards;
  choice.classes = ClassesThatFit(config, shards, bytes_per_shard);
  choice.replay_log = ReplayLogBytes(config, shards);
  return choice;
}

std::vector<std::string> NotesOf(const RunConfig& config, const PlanOptions& options) {
  const std::string why = WhyBfloat16IsSlow();
  std::vector<std::string> notes;
  const std::string on_head = options.note_on_head ? options.note_on_head(config) : NoteOnHeadCompute(config, why);
  for (std::string note : {NoteOnBackboneCompute(config, why), on_head}) {
    if (!note.empty()) notes.push_back(std::move(note));
  }
  return notes;
}

}  // namespace

std::string PlanText(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice,
                     const std::vector<std::string>& notes) {
  std::string text = absl::StrCat(plan.num_classes, " classes of ", config.backbone.embedding_size, " dimensions over ",
                                  Count(config.cluster.shards, "shard"), "; batches of ", config.data.batch_size,
                                  " from ", Count(config.cluster.workers, "worker"), "\n");
  absl::StrAppend(&text, "\nrun.folder: ", PrintableLine(config.run.folder), "\ndata.train: ",
                  config.data.train.empty() ? "none, data.format is synthetic" : PrintableLine(config.data.train),
                  "\n");
  absl::StrAppend(&text, ShardText(config, plan), StepText(plan));
  if (choice.has_value()) absl::StrAppend(&text, ChoiceText(plan, *choice));
  for (const std::string& note : notes) absl::StrAppend(&text, "\nnote: ", PrintableLine(note), "\n");
  return text;
}

std::string PlanJson(const RunConfig& config, const RunPlan& plan, const std::optional<ShardChoice>& choice,
                     const std::vector<std::string>& notes) {
  const ShardBytes& shard = plan.shard;
  const StepTraffic& traffic = plan.traffic;
  nlohmann::ordered_json json = {{"classes", plan.num_classes},
                                 {"dimensions", config.backbone.embedding_size},
                                 {"shards", config.cluster.shards},
                                 {"workers", config.cluster.workers},
                                 {"batch_size", config.data.batch_size},
                                 {"run_folder", config.run.folder},
                                 {"data_train", config.data.train},
                                 {"shard",
                                  {{"classes", plan.classes_of_shard},
                                   {"classes_in_step", plan.classes_in_step},
                                   {"bytes_per_class", plan.bytes_per_class},
                                   {"weights_bytes", shard.weights},
                                   {"moments_bytes", shard.moments},
                                   {"counts_bytes", shard.counts},
                                   {"inverse_norms_bytes", shard.inverse_norms},
                                   {"exponentials_bytes", shard.exponentials},
                                   {"exponentials_wanted_bytes", plan.exponentials_wanted},
                                   {"active_list_bytes", shard.active_list},
                                   {"step_buffers_bytes", shard.step_buffers},
                                   {"replay_log_bytes", shard.replay_log},
                                   {"process_bytes", shard.process},
                                   {"resident_bytes", shard.resident()},
                                   {"checkpoint_copies_bytes", shard.checkpoint_copies},
                                   {"checkpoint_file_bytes", shard.checkpoint_file()}}},
                                 {"step",
                                  {{"worker_sends_bytes", traffic.worker_sends},
                                   {"worker_receives_bytes", traffic.worker_receives},
                                   {"shard_sends_bytes", traffic.shard_sends},
                                   {"shard_receives_bytes", traffic.shard_receives},
                                   {"replay_record_bytes", plan.replay_record}}}};
  if (choice.has_value()) {
    json["choice"] = {{"bytes_per_shard", choice->bytes_per_shard},
                      {"shards_needed", choice->shards},
                      {"classes_per_shard", choice->classes}};
  }
  json["notes"] = notes;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";  // names need not be UTF-8
}

absl::StatusOr<std::string> PlanOf(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(options.config, options.overrides));
  const absl::StatusOr<int64_t> num_classes = NumClasses(config);
  if (!num_classes.ok()) return Annotate(num_classes.status(), options.config);
  const RunPlan plan = PlanRun(config, *num_classes);
  std::optional<ShardChoice> choice;
  if (options.shard_memory_gb > 0) {
    const int64_t bytes = std::llround(options.shard_memory_gb * kGiB);
    choice = ChoiceOf(config, *num_classes, bytes);
  }
  const std::vector<std::string> notes = NotesOf(config, options);
  return options.json ? PlanJson(config, plan, choice, notes) : PlanText(config, plan, choice, notes);
}

PlanCommand::PlanCommand(CommandLine program)
    : Command(program.AddCommand("plan", "Show what a run will take: memory of a shard, network, how many shards")) {
  line().Add("config", &options_.config, "The run's YAML file").ValueName("run.yaml").Required();
  cluster_.AddTo(&line());
  line()
      .Add("--shard-memory-gb", &options_.shard_memory_gb,
           "GiB that a shard may have resident; shows how many shards are needed")
      .Positive();
  AddOverrides(&line(), &options_.overrides);
  line().AddFlag("--json", &options_.json, "As JSON, in bytes");
}

absl::StatusOr<int> PlanCommand::Run() {
  std::vector<std::string> overrides = options_.overrides;
  cluster_.AppendTo(&overrides);
  ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(options_.config, overrides));
  return config.head.compute == "bfloat16" ? HandOverToModelProgram() : Print(nullptr);
}

absl::StatusOr<int> PlanCommand::Print(std::function<std::string(const RunConfig&)> note_on_head) {
  cluster_.AppendTo(&options_.overrides);
  options_.note_on_head = std::move(note_on_head);
  ASSIGN_OR_RETURN(const std::string text, PlanOf(options_));
  RETURN_IF_ERROR(options_.json ? PrintData(text) : PrintText(text));
  return 0;
}

}  // namespace arcshard::cli
