#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/pickle/torch_file.h"

namespace arcshard::cli {

// A tensor, which can be read from its file.
struct TensorInFile {
  std::string name;
  std::shared_ptr<const TorchFile> file;
  TorchTensor tensor;
};

// InvalidArgument: the tensor has integers or bools. `what` names it.
absl::Status CheckFloats(const TorchFile& file, const TorchTensor& tensor, absl::string_view what);

// The name that a network gives to a tensor: without what PyTorch's wrappers put around it, in any combination.
// DistributedDataParallel begins names with "module."; torch.compile, FSDP and activation checkpointing add a part
// wherever they wrap a layer ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module").
std::string WithoutWrappers(absl::string_view name);

// The value of a key in a state_dict, whatever wrappers its name has. nullptr: there is none.
const PickleValue* FindUnwrapped(const PickleValue& dict, absl::string_view name);

// The tensors of a state_dict in their order, under their names without wrappers. `what` is named in messages.
// InvalidArgument: `dict` is no state_dict, a value is not a tensor, or two names are the same without wrappers.
absl::StatusOr<std::vector<TensorInFile>> ReadStateDict(const std::shared_ptr<const TorchFile>& file,
                                                        const PickleValue& dict, absl::string_view what);

}  // namespace arcshard::cli
