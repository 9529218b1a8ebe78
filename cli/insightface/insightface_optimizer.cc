#include "cli/insightface/insightface_optimizer.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

using Kind = PickleValue::Kind;

// PyTorch's optimizers have some 20 values in a group and fewer for a parameter. Values of a pickle can be shared, so
// that without bounds a small file could cause any amount of work.
constexpr size_t kMostValues = 64;
constexpr size_t kMostParameters = size_t{1} << 20;

// The state that an optimizer keeps for one parameter.
struct Moments {
  std::string optimizer;  // sgd or adamw; empty: there is no state
  std::vector<TensorInFile> tensors;
  int64_t steps = 0;
  std::string unfit;  // why they cannot belong to this parameter; empty: they do
};

template <typename... Why>
Moments Unfit(const Why&... why) {
  Moments moments;
  moments.unfit = absl::StrCat(why...);
  return moments;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return shape.empty() ? "a scalar" : absl::StrJoin(shape, "×");
}

// PyTorch stores AdamW's step count in a tensor of one float32; before 1.12 it was an int.
absl::StatusOr<int64_t> StepsOf(const TorchFile& file, const PickleValue& value) {
  constexpr int64_t kEnd = int64_t{1} << 32;
  if (value.kind == Kind::kInt && value.integer >= 0 && value.integer < kEnd) return value.integer;
  std::string what = absl::StrCat(value.integer);
  if (value.kind != Kind::kInt) {
    ASSIGN_OR_RETURN(const TorchTensor tensor, file.Tensor(value, "the optimizer's step"));
    float steps = 0;
    if (tensor.elements() == 1) {
      RETURN_IF_ERROR(file.ReadFloats(tensor, 0, absl::MakeSpan(&steps, 1)));
      if (steps >= 0 && steps < static_cast<float>(kEnd)) return static_cast<int64_t>(steps);
      what = absl::StrCat(steps);
    } else {
      what = absl::StrCat("of ", tensor.elements(), " values");
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": the optimizer's step is ", what, ", not a number from 0 to ", kEnd - 1));
}

// Finds the moments of parameters in the state_dict of an optimizer.
class MomentsReader {
 public:
  MomentsReader(std::shared_ptr<const TorchFile> file, const PickleValue& optimizer) : file_(std::move(file)) {
    const PickleValue* all = TorchFile::Find(optimizer, "state");
    if (all == nullptr) return;
    for (const auto& [number, state] : TorchFile::Entries(*all)) {
      if (number->kind == Kind::kInt) states_[number->integer] = state;
    }
  }

  // The moments of the parameter `name`, which has the number `number` in the optimizer. optimizer: to which they must
  // belong; empty: any.
  absl::StatusOr<Moments> Read(int64_t number, absl::string_view name, const std::vector<int64_t>& shape,
                               const std::string& optimizer) const {
    Moments moments;
    const auto found = states_.find(number);
    if (found == states_.end()) return moments;  // not trained
    const PickleValue& state = *found->second;
    if (state.entries.size() > kMostValues) {
      return Unfit(name, " has ", state.entries.size(), " values, more than any optimizer of PyTorch keeps of one");
    }
    for (const auto& [key, kept_as, kind] :
         {std::tuple("momentum_buffer", "momentum", "sgd"), std::tuple("exp_avg", "first_moment", "adamw"),
          std::tuple("exp_avg_sq", "second_moment", "adamw")}) {
      const PickleValue* value = TorchFile::Find(state, key);
      if (value == nullptr || !TorchFile::IsTensor(*value)) continue;
      absl::StatusOr<TorchTensor> read = file_->Tensor(*value, key);
      if (absl::IsInvalidArgument(read.status())) return Unfit(read.status().message());
      ASSIGN_OR_RETURN(TorchTensor tensor, std::move(read));
      if (!IsFloatingPoint(tensor.dtype))
        return Unfit("the ", key, " of ", name, " is of ", DtypeName(tensor.dtype), ", not of floats");
      if (tensor.shape != shape) {
        return Unfit(name, " is ", ShapeText(shape), ", but its ", key, " ", ShapeText(tensor.shape),
                     ": the optimizer has the parameters in another order");
      }
      const std::string& expected = moments.optimizer.empty() ? optimizer : moments.optimizer;
      if (!expected.empty() && kind != expected) return Unfit(name, " has ", key, ", but others are ", expected, "'s");
      moments.tensors.push_back({kept_as, file_, std::move(tensor)});
      moments.optimizer = kind;
    }
    if (moments.optimizer == "adamw") {
      const PickleValue* steps = TorchFile::Find(state, "step");
      if (moments.tensors.size() != 2 || steps == nullptr) {
        return Unfit(name, " does not have all of AdamW's exp_avg, exp_avg_sq and step");
      }
      ASSIGN_OR_RETURN(moments.steps, StepsOf(*file_, *steps));
    }
    return moments;
  }

 private:
  const std::shared_ptr<const TorchFile> file_;
  absl::flat_hash_map<int64_t, const PickleValue*> states_;  // keyed by the parameter's number
};

// The numbers of all parameters, group after group. Empty: this is not an optimizer of PyTorch.
std::vector<int64_t> ParameterNumbers(const PickleValue& optimizer) {
  std::vector<int64_t> numbers;
  const PickleValue* groups = TorchFile::Find(optimizer, "param_groups");
  if (groups == nullptr || groups->kind != Kind::kList) return {};
  for (const PickleValue* group : groups->items) {
    if (group->entries.size() > kMostValues) return {};
    const PickleValue* parameters = TorchFile::Find(*group, "params");
    if (parameters == nullptr) continue;
    if (parameters->items.size() > kMostParameters - numbers.size()) return {};
    for (const PickleValue* number : parameters->items) {
      if (number->kind != Kind::kInt) return {};
      numbers.push_back(number->integer);
    }
  }
  return numbers;
}

bool IsParameter(const std::string& name) {
  return !absl::EndsWith(name, ".running_mean") && !absl::EndsWith(name, ".running_var") &&
         !absl::EndsWith(name, ".num_batches_tracked");
}

// Adds the moments of all parameters or of none: if one does not fit, others of equal shape may be mixed up as well.
absl::Status AddBackboneMoments(const MomentsReader& reader, const std::vector<int64_t>& numbers,
                                InsightFaceState* state) {
  std::vector<const TensorInFile*> parameters;
  for (const TensorInFile& tensor : state->backbone) {
    if (IsParameter(tensor.name)) parameters.push_back(&tensor);
  }
  const auto leave = [state](const auto&... why) {
    state->notes.push_back(absl::StrCat("the backbone's moments are not imported: ", why...));
    return absl::OkStatus();
  };
  if (parameters.size() != numbers.size()) {
    return leave("the optimizer has ", numbers.size(), " parameters of the backbone, which has ", parameters.size());
  }
  std::string optimizer = state->optimizer;
  std::vector<TensorInFile> tensors;
  int64_t fewest = 0, most = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i]->name;
    ASSIGN_OR_RETURN(Moments moments, reader.Read(numbers[i], name, parameters[i]->tensor.shape, optimizer));
    if (!moments.unfit.empty()) return leave(moments.unfit);
    if (moments.tensors.empty()) continue;  // a parameter that is not trained
    fewest = tensors.empty() ? moments.steps : std::min(fewest, moments.steps);
    most = std::max(most, moments.steps);
    optimizer = moments.optimizer;
    for (TensorInFile& moment : moments.tensors) {
      moment.name = absl::StrCat(moment.name, ".", name);
      tensors.push_back(std::move(moment));
    }
  }
  if (fewest != most) {
    state->notes.push_back(absl::StrCat("the backbone's parameters have taken ", fewest, " to ", most,
                                        " steps of AdamW: ", fewest, " is kept for all, so that none jumps"));
  }
  state->optimizer = optimizer;
  state->backbone_steps = fewest;
  state->backbone_moments = std::move(tensors);
  return absl::OkStatus();
}

}  // namespace

absl::Status AddOptimizerState(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                               bool of_backbone, InsightFaceState* state) {
  std::vector<int64_t> numbers = ParameterNumbers(optimizer);
  if (numbers.empty()) {
    state->notes.push_back(
        absl::StrCat(file->path(), ": its state_optimizer is not one of PyTorch's and is not imported"));
    return absl::OkStatus();
  }
  InsightFaceState::Rank& rank = state->ranks.back();
  const MomentsReader reader(file, optimizer);
  ASSIGN_OR_RETURN(Moments moments,
                   reader.Read(numbers.back(), "the weight", rank.centers.tensor.shape, state->optimizer));
  if (!moments.unfit.empty()) {
    state->notes.push_back(
        absl::StrCat(file->path(), ": the class centers' moments are not imported: ", moments.unfit));
  }
  if (!moments.tensors.empty()) state->optimizer = moments.optimizer;
  rank.moments = std::move(moments.tensors);
  rank.moment_steps = moments.steps;
  numbers.pop_back();
  return of_backbone ? AddBackboneMoments(reader, numbers, state) : absl::OkStatus();
}

void DropPartialMoments(InsightFaceState* state) {
  size_t having = 0;
  for (const InsightFaceState::Rank& rank : state->ranks)
    having += rank.moments.size() == state->ranks[0].moments.size();
  if (having == state->ranks.size()) return;
  for (InsightFaceState::Rank& rank : state->ranks) rank.moments.clear();
  if (state->backbone_moments.empty()) state->optimizer.clear();
  state->notes.emplace_back("the class centers' moments are not imported: not all ranks have them");
}

}  // namespace arcshard::cli
