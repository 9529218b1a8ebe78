#include "cli/insightface/insightface_state.h"

#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/insightface/insightface_optimizer.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

using Kind = PickleValue::Kind;
using RankFiles = std::map<int64_t, std::string>;

template <typename... What>
absl::Status Refuse(const What&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

struct Files {
  RankFiles checkpoints, weights, momenta;
  std::string backbone;  // empty: none
};

// The r of a name <prefix><r><suffix>; nullopt: `name` is not of that form.
std::optional<int64_t> RankOf(absl::string_view name, absl::string_view prefix, absl::string_view suffix) {
  int64_t rank;
  if (!absl::ConsumePrefix(&name, prefix) || !absl::ConsumeSuffix(&name, suffix)) return std::nullopt;
  if (!absl::SimpleAtoi(name, &rank) || absl::StrCat(rank) != name || rank < 0) return std::nullopt;
  return rank;
}

absl::StatusOr<Files> FindFiles(const std::string& folder) {
  Files files;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return absl::NotFoundError(absl::StrCat(folder, ": ", error.message()));
  for (const std::filesystem::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string(), path = entry.path().string();
    if (const auto r = RankOf(name, "checkpoint_gpu_", ".pt")) files.checkpoints[*r] = path;
    if (const auto r = RankOf(name, "rank_", "_softmax_weight.pt")) files.weights[*r] = path;
    if (const auto r = RankOf(name, "rank_", "_softmax_weight_mom.pt")) files.momenta[*r] = path;
    if (name == "model.pt" || (name == "backbone.pth" && files.backbone.empty())) files.backbone = path;
  }
  if (files.checkpoints.empty() && files.weights.empty() && files.backbone.empty()) {
    return absl::NotFoundError(absl::StrCat(folder,
                                            ": holds none of InsightFace's checkpoint_gpu_<rank>.pt, "
                                            "rank_<rank>_softmax_weight.pt, model.pt and backbone.pth"));
  }
  return files;
}

// Checks that the ranks are 0, 1, ... without a gap.
absl::Status CheckConsecutive(const std::string& folder, const RankFiles& files, absl::string_view prefix,
                              absl::string_view suffix) {
  int64_t next = 0;
  for (const auto& [rank, path] : files) {
    if (rank != next) {
      return absl::NotFoundError(
          absl::StrCat(folder, "/", prefix, next, suffix, ": is missing, though there is ", path));
    }
    ++next;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TorchFile>> OpenFile(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<TorchFile> file, TorchFile::Open(path));
  return std::shared_ptr<const TorchFile>(std::move(file));
}

// The state_dict in what a file holds: itself, or one level down, where trainers put settings beside it.
const PickleValue& StateDictIn(const PickleValue& root) {
  for (const absl::string_view key : {"state_dict_backbone", "state_dict", "model_state_dict", "backbone", "model"}) {
    const PickleValue* const inside = TorchFile::Find(root, key);
    if (inside != nullptr && TorchFile::IsDict(*inside)) return *inside;
  }
  return root;
}

class Reader {
 public:
  explicit Reader(const InsightFaceOptions& options) : options_(options) {}

  absl::StatusOr<InsightFaceState> Read() {
    ASSIGN_OR_RETURN(const Files files, FindFiles(options_.folder));
    RETURN_IF_ERROR(CheckConsecutive(options_.folder, files.checkpoints, "checkpoint_gpu_", ".pt"));
    RETURN_IF_ERROR(files.checkpoints.empty() ? ReadWeights(files) : ReadCheckpoints(files));
    if (state_.backbone.empty() && !files.backbone.empty()) {
      ASSIGN_OR_RETURN(const auto file, OpenFile(files.backbone));
      ASSIGN_OR_RETURN(state_.backbone, ReadStateDict(file, StateDictIn(file->root()), "what it holds"));
    }
    if (state_.backbone.empty()) {
      state_.notes.push_back(
          absl::StrCat(options_.folder, " has no model.pt or backbone.pth: only class centers are imported"));
    }
    if (state_.ranks.empty()) {
      state_.notes.push_back(absl::StrCat(options_.folder, " has no class centers: only the backbone is imported"));
    }
    RETURN_IF_ERROR(CheckRows());
    return std::move(state_);
  }

 private:
  absl::Status ReadCheckpoints(const Files& files) {
    if (!files.weights.empty())
      state_.notes.emplace_back("rank_<rank>_softmax_weight.pt are not imported: checkpoint_gpu_<rank>.pt are newer");
    for (const auto& [rank, path] : files.checkpoints) {
      ASSIGN_OR_RETURN(const auto file, OpenFile(path));
      if (!TorchFile::IsDict(file->root())) {
        return Refuse(path, ": holds ", DescribePickleValue(file->root()), ", not a dict such as train_v2.py writes");
      }
      RETURN_IF_ERROR(ReadTime(*file, rank == 0));
      const PickleValue* head = TorchFile::Find(file->root(), "state_dict_softmax_fc");
      const PickleValue* weight = head == nullptr ? nullptr : FindUnwrapped(*head, "weight");
      if (weight == nullptr) return Refuse(path, ": has no state_dict_softmax_fc with a weight");
      RETURN_IF_ERROR(AddRank(file, *weight, "the weight of state_dict_softmax_fc"));
      if (rank == 0) {
        const PickleValue* backbone = TorchFile::Find(file->root(), "state_dict_backbone");
        if (backbone == nullptr) return Refuse(path, ": has no state_dict_backbone");
        ASSIGN_OR_RETURN(state_.backbone, ReadStateDict(file, *backbone, "state_dict_backbone"));
      }
      if (const PickleValue* optimizer = TorchFile::Find(file->root(), "state_optimizer")) {
        RETURN_IF_ERROR(AddOptimizerState(file, *optimizer, rank == 0, &state_));
      }
    }
    DropPartialMoments(&state_);
    return absl::OkStatus();
  }

  absl::Status ReadWeights(const Files& files) {
    RETURN_IF_ERROR(CheckConsecutive(options_.folder, files.weights, "rank_", "_softmax_weight.pt"));
    for (const auto& [rank, path] : files.weights) {
      ASSIGN_OR_RETURN(const auto file, OpenFile(path));
      RETURN_IF_ERROR(AddRank(file, file->root(), "what it holds"));
    }
    for (const auto& [rank, path] : files.momenta) {
      if (rank >= static_cast<int64_t>(state_.ranks.size())) {
        return absl::NotFoundError(
            absl::StrCat(options_.folder, "/rank_", rank, "_softmax_weight.pt: is missing, though there is ", path));
      }
      ASSIGN_OR_RETURN(const auto file, OpenFile(path));
      ASSIGN_OR_RETURN(TorchTensor tensor, file->Tensor(file->root(), "what it holds"));
      RETURN_IF_ERROR(CheckFloats(*file, tensor, "what it holds"));
      InsightFaceState::Rank& of = state_.ranks[static_cast<size_t>(rank)];
      if (tensor.shape != of.centers.tensor.shape)
        return Refuse(path, ": is not of the shape of ", of.centers.file->path());
      of.moments = {{"momentum", file, std::move(tensor)}};
      state_.optimizer = "sgd";
    }
    if (!files.momenta.empty() && files.momenta.size() != files.weights.size()) {
      return absl::NotFoundError(absl::StrCat(options_.folder, ": of ", files.weights.size(), " ranks only ",
                                              files.momenta.size(),
                                              " have a _mom.pt; remove them to import without moments"));
    }
    return absl::OkStatus();
  }

  // Reads the step and the epoch of a checkpoint. Weights can be used without them, but ranks must be of one step.
  absl::Status ReadTime(const TorchFile& file, bool is_first) {
    const std::optional<int64_t> step = Number(file, "global_step", is_first), epoch = Number(file, "epoch", is_first);
    if (is_first) {
      state_.step = static_cast<uint64_t>(step.value_or(0));
      state_.epoch = epoch.value_or(0);
      has_step_ = step.has_value();
    } else if (has_step_ && step.has_value() && *step != static_cast<int64_t>(state_.step)) {
      return Refuse(file.path(), ": is of step ", *step, ", but that of rank 0 of step ", state_.step,
                    ": ranks must have been saved together");
    }
    return absl::OkStatus();
  }
  // A number of a checkpoint, which must not be negative. nullopt: there is none; then it is noted if `note` is set.
  std::optional<int64_t> Number(const TorchFile& file, absl::string_view key, bool note) {
    const PickleValue* value = TorchFile::Find(file.root(), key);
    const absl::StatusOr<int64_t> number =
        value == nullptr ? Refuse(file.path(), ": has no ", key) : file.Integer(*value, key);
    if (number.ok() && *number >= 0) return *number;
    if (note) {
      state_.notes.push_back(absl::StrCat(
          number.ok() ? absl::StrCat(file.path(), ": its ", key, " is ", *number) : number.status().message(),
          "; 0 is taken instead"));
    }
    return std::nullopt;
  }

  absl::Status AddRank(std::shared_ptr<const TorchFile> file, const PickleValue& value, absl::string_view what) {
    ASSIGN_OR_RETURN(TorchTensor tensor, file->Tensor(value, what));
    RETURN_IF_ERROR(CheckFloats(*file, tensor, what));
    if (tensor.shape.size() != 2 || tensor.shape[1] == 0) {
      return Refuse(file->path(), ": ", what, " has ", tensor.shape.size(),
                    " dimensions, where class centers are rows×D");
    }
    const int64_t expected = state_.ranks.empty() ? options_.embedding_size : state_.embedding_size;
    if (expected != 0 && tensor.shape[1] != expected) {
      return Refuse(file->path(), ": its class centers have ", tensor.shape[1], " dimensions, not ", expected);
    }
    state_.embedding_size = tensor.shape[1];
    state_.num_classes += tensor.shape[0];
    state_.ranks.push_back({.centers = {"weight", std::move(file), std::move(tensor)}});
    return absl::OkStatus();
  }

  // Checks that no rank is missing and that all belong to the same training.
  absl::Status CheckRows() const {
    const int64_t ranks = static_cast<int64_t>(state_.ranks.size()), classes = state_.num_classes;
    if (ranks == 0) return absl::OkStatus();
    if (options_.num_classes != 0) {
      if (classes == options_.num_classes) return absl::OkStatus();
      return Refuse(options_.folder, ": its ", ranks, " ranks have ", classes, " classes, not ", options_.num_classes,
                    classes < options_.num_classes ? ": those of higher ranks are missing" : "");
    }
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const int64_t rows = state_.ranks[static_cast<size_t>(rank)].centers.tensor.shape[0];
      const int64_t expected = classes / ranks + (rank < classes % ranks ? 1 : 0);
      if (rows == expected) continue;
      return Refuse(
          options_.folder, ": its ", ranks, " ranks have ", classes, " classes; then rank ", rank, " would have ",
          expected, ", but has ", rows,
          ": the files are of several trainings, or ranks are missing (--classes N imports them as they are)");
    }
    return absl::OkStatus();
  }

  const InsightFaceOptions& options_;
  InsightFaceState state_;
  bool has_step_ = false;
};

}  // namespace

absl::StatusOr<InsightFaceState> ReadInsightFace(const InsightFaceOptions& options) { return Reader(options).Read(); }

}  // namespace arcshard::cli
