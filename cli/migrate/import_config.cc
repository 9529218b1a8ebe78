#include "cli/migrate/import_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "cli/migrate/yaml_writer.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"

namespace arcshard::cli {
namespace {

const std::map<std::string, const char*>& Networks() {
  static const std::map<std::string, const char*> networks = {
      {"r18", "iresnet18"},         {"r34", "iresnet34"},       {"r50", "iresnet50"},
      {"r100", "iresnet100"},       {"r200", "iresnet200"},     {"iresnet18", "iresnet18"},
      {"iresnet34", "iresnet34"},   {"iresnet50", "iresnet50"}, {"iresnet100", "iresnet100"},
      {"iresnet200", "iresnet200"}, {"mbf", "mobilefacenet"},   {"mobilefacenet", "mobilefacenet"}};
  return networks;
}

// What is done here instead, for keys without one of ours.
const std::map<std::string, const char*>& Instead() {
  static const std::map<std::string, const char*> instead = {
      {"num_image", "the images are counted"},
      {"resume", "arcshard train --resume FOLDER resumes a run"},
      {"save_all_states", "checkpoints are taken by themselves (checkpoint.every_minutes)"},
      {"frequent", "a line of progress appears every few seconds"},
      {"dali", "there is no DALI"},
      {"dali_aug", "there is no DALI; data.rotate_degrees, .translate and .scale jitter images"}};
  return instead;
}

// A number or text as YAML has it: 128 for 128.0.
std::string TextOf(const PythonValue& value) {
  if (value.text() != nullptr) return *value.text();
  if (const bool* b = std::get_if<bool>(&value.value)) return *b ? "true" : "false";
  return std::string(absl::StripSuffix(Describe(value), ".0"));
}

std::string Whole(double number) { return absl::StrFormat("%.0f", number); }

class Converter {
 public:
  Converter(const PythonDict& config, const ImportConfigOptions& options) : config_(config), options_(options) {}

  ImportedConfig Convert(const std::vector<std::string>& notes) {
    Run();
    Data();
    Backbone();
    Head();
    Loss();
    Optimizer();
    Schedule();
    Verification();
    Rest();
    for (const std::string& note : notes) yaml_.Say("", note);
    return {.yaml = yaml_.Text(), .without_counterpart = without_};
  }

 private:
  // Their value, which counts as used from now on. Null: there is none, or it is not known, which a comment in
  // `section` says.
  const PythonValue* Take(const std::string& key, const std::string& section) {
    const PythonValue* const value = config_.Find(key);
    if (value == nullptr) return nullptr;
    used_.insert(key);
    if (value->unknown() == nullptr) return value;
    yaml_.Say(section, absl::StrCat(key, " is not known, because nothing is executed: ", value->unknown()->why));
    ++without_;
    return nullptr;
  }
  std::optional<double> TakeNumber(const std::string& key, const std::string& section) {
    const PythonValue* const value = Take(key, section);
    double number = 0;
    if (value == nullptr || value->is_none()) return std::nullopt;
    if (NumberOf(*value, &number)) return number;
    NoCounterpart(section, key, *value, "it is no number");
    return std::nullopt;
  }
  void NoCounterpart(const std::string& section, const std::string& key, const PythonValue& value,
                     absl::string_view why) {
    yaml_.Say(section, absl::StrCat(key, " = ", Describe(value), ": ", why));
    ++without_;
  }
  // Copies a value as it is.
  void Copy(const std::string& key, const std::string& ours, absl::string_view comment = "") {
    const PythonValue* const value = Take(key, ours.substr(0, ours.find('.')));
    if (value == nullptr || value->is_none()) return;
    yaml_.Set(ours, TextOf(*value), comment.empty() ? key : absl::StrCat(key, "; ", comment));
  }

  void Run() {
    const PythonValue* const output = Take("output", "run");
    if (output != nullptr && output->text() != nullptr) {
      yaml_.Set("run.folder", *output->text(), "output; counts from the folder of this file");
    } else {
      const std::string stem = std::filesystem::path(options_.config).stem().string();
      yaml_.Set("run.folder", absl::StrCat("work_dirs/", stem), "output is None; counts from the folder of this file");
    }
    Copy("seed", "run.seed");
    yaml_.Set("run.tensorboard", "true", "train_v2.py always writes its events");
  }

  void Data() {
    const PythonValue* const rec = Take("rec", "data");
    if (rec != nullptr && rec->text() != nullptr && *rec->text() == "synthetic") {
      yaml_.Set("data.format", "synthetic", "rec");
      if (const auto images = TakeNumber("num_image", "data")) {
        yaml_.Set("data.synthetic_samples", Whole(*images), "num_image");
      }
    } else if (rec != nullptr && rec->text() != nullptr) {
      rec_ = *rec->text();
      yaml_.Set("data.train", rec_, "rec");
    } else if (rec != nullptr) {
      NoCounterpart("data", "rec", *rec, "it is no path; data.train is missing");
    }
    if (const PythonValue* const size = Take("image_size", "data")) {
      const auto* const list = size->list();
      const bool square = list != nullptr && list->items.size() == 2 && AreEqual(list->items[0], list->items[1]);
      yaml_.Set("data.image_size", TextOf(square ? list->items[0] : *size), "image_size");
    }
    Batch();
    if (const auto workers = TakeNumber("num_workers", "data")) {
      yaml_.Set("data.loader_threads", Whole(std::max(1.0, *workers)), "num_workers, of each worker");
    }
  }

  void Batch() {
    const auto batch = TakeNumber("batch_size", "data");
    passes_of_step_ = std::max(1.0, TakeNumber("gradient_acc", "data").value_or(1));
    if (!batch.has_value()) return;
    const int64_t gpus = std::max<int64_t>(1, options_.gpus);
    std::string comment = absl::StrCat("batch_size, which is ", Whole(*batch), " on each GPU there, × ", gpus);
    if (options_.gpus == 0) comment += "; with more GPUs give --gpus N";
    if (passes_of_step_ > 1) absl::StrAppend(&comment, " × gradient_acc ", Whole(passes_of_step_));
    yaml_.Set("data.batch_size", Whole(*batch * static_cast<double>(gpus) * passes_of_step_), comment);
    yaml_.Set("data.micro_batch_size", Whole(*batch), "batch_size: BatchNorm normalises over so many, as there");
  }

  void Backbone() {
    if (const PythonValue* const network = Take("network", "backbone")) {
      const auto found = network->text() == nullptr ? Networks().end() : Networks().find(*network->text());
      if (found != Networks().end()) {
        yaml_.Set("backbone.name", found->second, absl::StrCat("network ", found->first));
      } else {
        NoCounterpart("backbone", "network", *network, "there is no such backbone here; choose backbone.name");
      }
    }
    Copy("embedding_size", "backbone.embedding_size");
    const PythonValue* const half = Take("fp16", "backbone");
    if (half == nullptr || !IsTrue(*half)) return;
    yaml_.Set("backbone.compute", "bfloat16", "fp16; slow on a CPU without bfloat16 instructions");
    yaml_.Set("head.compute", "bfloat16", "fp16; there the head computes in float32 after a product in float16");
  }

  void Head() {
    Copy("num_classes", "head.classes");
    Copy("sample_rate", "head.sample_rate");
    if (const auto filter = TakeNumber("interclass_filtering_threshold", "head"); filter.value_or(0) > 0) {
      Copy("interclass_filtering_threshold", "head.filter");
    }
  }

  void Loss() {
    std::optional<double> m1, m2, m3;
    std::string from = "margin_list";
    if (const PythonValue* const margins = Take("margin_list", "loss")) {
      const auto* const list = margins->list();
      double number[3] = {};
      bool known = list != nullptr && list->items.size() == 3;
      for (size_t i = 0; known && i < 3; ++i) known = NumberOf(list->items[i], &number[i]);
      if (!known) return NoCounterpart("loss", "margin_list", *margins, "it is no list of three numbers");
      m1 = number[0], m2 = number[1], m3 = number[2];
    }
    if (const PythonValue* const loss = Take("loss", "loss")) {  // of arcface_torch before 2022
      from = absl::StrCat("loss ", TextOf(*loss));
      if (TextOf(*loss) == "arcface") m1 = 1, m2 = 0.5, m3 = 0;
      if (TextOf(*loss) == "cosface") m1 = 1, m2 = 0, m3 = 0.4;
      if (!m1.has_value())
        return NoCounterpart("loss", "loss", *loss, "there is no such margin here; choose loss.margin");
    }
    if (!m1.has_value()) return;
    if (*m1 == 1 && *m2 == 0 && *m3 == 0) {
      yaml_.Set("loss.margin", "softmax", from);
    } else if (*m1 == 1 && (*m2 == 0 || *m3 == 0)) {
      yaml_.Set("loss.margin", *m3 == 0 ? "arcface" : "cosface", from);
      yaml_.Set("loss.m", TextOf({*m3 == 0 ? *m2 : *m3}), "");
    } else {
      yaml_.Set("loss.margin", "combined", from);
      yaml_.Set("loss.m1", TextOf({*m1}), "");
      yaml_.Set("loss.m2", TextOf({*m2}), "");
      yaml_.Set("loss.m3", TextOf({*m3}), "");
    }
    if (from != "margin_list") return;  // before 2022-12 their gradient was exact, too
    yaml_.Set("loss.gradient", "straight_through", "as losses.py has it; the default here is exact, as in the paper");
  }

  void Optimizer() {
    Copy("optimizer", "optimizer.kind");
    Copy("momentum", "optimizer.momentum");
    Copy("weight_decay", "optimizer.weight_decay");
    yaml_.Set("optimizer.clip_grad_norm", "5", "fixed in train_v2.py; the default here is 0: no clipping");
  }

  void Schedule() {
    Copy("num_epoch", "schedule.epochs");
    Copy("lr", "schedule.lr", "for the batch of all GPUs; neither program scales it");
    if (const auto warmup = TakeNumber("warmup_epoch", "schedule"); warmup.value_or(0) > 0) {
      Copy("warmup_epoch", "schedule.warmup_epochs");
    }
    const PythonValue* const drops = Take("decay_epoch", "schedule");  // of arcface_torch before 2022
    if (drops == nullptr || drops->list() == nullptr) {
      if (config_.Find("loss") != nullptr) return;  // then with PolyScheduler, whose power is 2
      yaml_.Set("schedule.power", "1", "of PolynomialLRWarmup; their older PolyScheduler has 2, the default here");
      return;
    }
    std::vector<std::string> epochs;
    for (const PythonValue& epoch : drops->list()->items) epochs.push_back(TextOf(epoch));
    yaml_.Set("schedule.kind", "steps", "decay_epoch");
    yaml_.Set("schedule.drop_epochs", epochs, "decay_epoch");
  }

  void Verification() {
    const PythonValue* const targets = Take("val_targets", "verification");
    used_.insert("verbose");  // says nothing without sets
    if (targets == nullptr || targets->list() == nullptr || targets->list()->items.empty()) return;
    std::vector<std::string> sets;
    for (const PythonValue& target : targets->list()->items) {
      sets.push_back(absl::StrCat(rec_, rec_.empty() || absl::EndsWith(rec_, "/") ? "" : "/", TextOf(target), ".bin"));
    }
    yaml_.Set("verification.sets", sets, "val_targets, in the folder rec");
    CopyVerbose();
  }

  // Theirs counts forward passes, of which a step has gradient_acc.
  void CopyVerbose() {
    const std::optional<double> passes = TakeNumber("verbose", "verification");
    if (!passes.has_value()) return;
    const std::string comment =
        passes_of_step_ > 1 ? absl::StrCat("verbose ÷ gradient_acc ", Whole(passes_of_step_)) : "verbose";
    yaml_.Set("verification.every_steps", Whole(std::max(1.0, std::floor(*passes / passes_of_step_))), comment);
  }

  // What is left has no counterpart.
  void Rest() {
    bool wandb = false;
    for (const auto& [key, value] : config_.items()) {
      if (used_.contains(key)) continue;
      if (absl::StrContains(key, "wandb") || key == "suffix_run_name" || key == "save_artifacts") {
        wandb = true;  // one of these is a password, so none is printed
      } else if (const auto instead = Instead().find(key); instead != Instead().end()) {
        yaml_.Say("", absl::StrCat(key, " = ", Describe(value), ": ", instead->second));
      } else {
        NoCounterpart("", key, value, "it has no counterpart here");
      }
    }
    if (wandb) yaml_.Say("", "wandb: there is no counterpart; run.tensorboard writes events");
  }

  const PythonDict& config_;
  const ImportConfigOptions& options_;
  YamlWriter yaml_;
  std::set<std::string> used_;
  std::string rec_;
  double passes_of_step_ = 1;  // gradient_acc
  int without_ = 0;
};

// The file that every configuration of arcface_torch is laid over; empty: there is none.
std::string BaseOf(const ImportConfigOptions& options) {
  if (!options.base.empty()) return options.base;
  const std::filesystem::path path(options.config);
  if (path.filename() == "base.py") return "";
  for (const std::filesystem::path& folder : {path.parent_path(), path.parent_path() / ".."}) {
    std::error_code error;
    const std::filesystem::path base = (folder / "base.py").lexically_normal();
    if (std::filesystem::is_regular_file(base, error)) return base.string();
  }
  return "";
}

// Adds the file's dict `config` to *config, and what was not read of it to *notes.
absl::Status AddFile(const std::string& path, PythonDict* config, std::vector<std::string>* notes) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  ASSIGN_OR_RETURN(const absl::string_view source, TextOfFile(path, bytes));
  ASSIGN_OR_RETURN(const PythonModule module, ReadPython(std::string(source), path));
  for (const std::string& note : module.notes) notes->push_back(absl::StrCat(path, ", ", note));
  const PythonValue* found = module.names.Find("config");
  if (found == nullptr) found = module.names.Find("cfg");
  if (found == nullptr || found->dict() == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " does not say config = EasyDict(), as a configuration of arcface_torch does"));
  }
  for (const auto& [key, value] : found->dict()->items()) config->Set(key, value);
  return absl::OkStatus();
}

}  // namespace

ImportedConfig ConvertConfig(const PythonDict& config, const ImportConfigOptions& options,
                             const std::vector<std::string>& notes) {
  return Converter(config, options).Convert(notes);
}

absl::StatusOr<ImportedConfig> ImportConfig(const ImportConfigOptions& options) {
  PythonDict config;
  std::vector<std::string> notes;
  const std::string base = BaseOf(options);
  if (!base.empty()) RETURN_IF_ERROR(AddFile(base, &config, &notes));
  RETURN_IF_ERROR(AddFile(options.config, &config, &notes));
  if (base.empty()) notes.push_back("there is no base.py beside it: what that sets has the default of arcshard here");
  ImportedConfig imported = ConvertConfig(config, options, notes);
  imported.yaml = absl::StrCat(
      "# Made by arcshard import-config from ", InOneLine(options.config),
      base.empty() ? "" : absl::StrCat(" and ", InOneLine(base)), " of InsightFace's arcface_torch.\n",
      "# A comment says what a key is called there. docs/migration.md has the whole table.\n\n", imported.yaml);
  return imported;
}

}  // namespace arcshard::cli
