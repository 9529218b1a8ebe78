#include "launcher/insightface_optimizer.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::launcher {
namespace {

using Kind = PickleValue::Kind;

// What an optimizer keeps of one parameter.
struct Moments {
  std::string optimizer;  // sgd, adamw; empty: nothing
  std::vector<TensorInFile> tensors;
  int64_t steps = 0;
};

// PyTorch counts AdamW's steps in a tensor of one float32, before 1.12 in an int.
absl::StatusOr<int64_t> StepsOf(const TorchFile& file, const PickleValue& value) {
  if (value.kind == Kind::kInt) return value.integer;
  ASSIGN_OR_RETURN(const TorchTensor tensor, file.Tensor(value, "the optimizer's step"));
  float steps = 0;
  if (tensor.elements() == 1) RETURN_IF_ERROR(file.ReadFloats(tensor, 0, absl::MakeSpan(&steps, 1)));
  return static_cast<int64_t>(steps >= 0 && steps < 4e9f ? steps : 0);
}

absl::StatusOr<Moments> MomentsOf(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                                  int64_t index, const std::vector<int64_t>& shape) {
  Moments moments;
  const PickleValue* all = TorchFile::Find(optimizer, "state");
  const PickleValue* of_one = all == nullptr ? nullptr : TorchFile::Find(*all, index);
  if (of_one == nullptr) return moments;
  for (const auto& [key, name, kind] :
       {std::tuple("momentum_buffer", "momentum", "sgd"), std::tuple("exp_avg", "first_moment", "adamw"),
        std::tuple("exp_avg_sq", "second_moment", "adamw")}) {
    const PickleValue* value = TorchFile::Find(*of_one, key);
    if (value == nullptr || !TorchFile::IsTensor(*value)) continue;
    ASSIGN_OR_RETURN(TorchTensor tensor, file->Tensor(*value, key));
    if (tensor.shape != shape) return Moments();
    moments.tensors.push_back({name, file, std::move(tensor)});
    moments.optimizer = kind;
  }
  if (moments.optimizer == "adamw") {
    const PickleValue* steps = TorchFile::Find(*of_one, "step");
    if (moments.tensors.size() != 2 || steps == nullptr) return Moments();
    ASSIGN_OR_RETURN(moments.steps, StepsOf(*file, *steps));
  }
  return moments;
}

// The numbers of all parameters, group after group.
std::vector<int64_t> ParameterNumbers(const PickleValue& optimizer) {
  std::vector<int64_t> numbers;
  const PickleValue* groups = TorchFile::Find(optimizer, "param_groups");
  if (groups == nullptr || groups->kind != Kind::kList) return numbers;
  for (const PickleValue* group : groups->items) {
    const PickleValue* parameters = TorchFile::Find(*group, "params");
    if (parameters == nullptr) continue;
    for (const PickleValue* number : parameters->items) numbers.push_back(number->integer);
  }
  return numbers;
}

bool IsParameter(const std::string& name) {
  return !absl::EndsWith(name, ".running_mean") && !absl::EndsWith(name, ".running_var") &&
         !absl::EndsWith(name, ".num_batches_tracked");
}

absl::Status AddBackboneMoments(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                                const std::vector<int64_t>& numbers, InsightFaceState* state) {
  std::vector<const TensorInFile*> parameters;
  for (const TensorInFile& tensor : state->backbone) {
    if (IsParameter(tensor.name)) parameters.push_back(&tensor);
  }
  if (parameters.size() != numbers.size()) {
    state->notes.push_back(absl::StrCat("the backbone's moments are left: the optimizer has ", numbers.size(),
                                        " parameters of it, the backbone ", parameters.size()));
    return absl::OkStatus();
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    ASSIGN_OR_RETURN(Moments moments, MomentsOf(file, optimizer, numbers[i], parameters[i]->tensor.shape));
    if (moments.tensors.empty()) continue;  // one that is not trained
    state->optimizer = moments.optimizer;
    state->backbone_steps = moments.steps;
    for (TensorInFile& moment : moments.tensors) {
      moment.name = absl::StrCat(moment.name, ".", parameters[i]->name);
      state->backbone_moments.push_back(std::move(moment));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AddOptimizerState(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                               bool of_backbone, InsightFaceState* state) {
  std::vector<int64_t> numbers = ParameterNumbers(optimizer);
  if (numbers.empty()) {
    state->notes.push_back(absl::StrCat(file->path(), ": its state_optimizer is none of PyTorch's and is left"));
    return absl::OkStatus();
  }
  InsightFaceState::Rank& rank = state->ranks.back();
  ASSIGN_OR_RETURN(Moments moments, MomentsOf(file, optimizer, numbers.back(), rank.centers.tensor.shape));
  if (!moments.tensors.empty()) state->optimizer = moments.optimizer;
  rank.moments = std::move(moments.tensors);
  rank.moment_steps = moments.steps;
  numbers.pop_back();
  return of_backbone ? AddBackboneMoments(file, optimizer, numbers, state) : absl::OkStatus();
}

void DropPartialMoments(InsightFaceState* state) {
  size_t having = 0;
  for (const InsightFaceState::Rank& rank : state->ranks)
    having += rank.moments.size() == state->ranks[0].moments.size();
  if (having == state->ranks.size()) return;
  for (InsightFaceState::Rank& rank : state->ranks) rank.moments.clear();
  state->notes.push_back("the class centers' moments are left: not all ranks have them");
}

}  // namespace arcshard::launcher
