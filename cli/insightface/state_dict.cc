#include "cli/insightface/state_dict.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kWrappers[] = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"};

template <typename... What>
absl::Status Refuse(const TorchFile& file, const What&... what) {
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": ", what...));
}

}  // namespace

absl::Status CheckFloats(const TorchFile& file, const TorchTensor& tensor, absl::string_view what) {
  if (IsFloatingPoint(tensor.dtype)) return absl::OkStatus();
  return Refuse(file, what, " is of ", DtypeName(tensor.dtype), ", not of floats");
}

std::string WithoutWrappers(absl::string_view name) {
  std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  std::erase_if(parts, [](absl::string_view part) {
    return std::find(std::begin(kWrappers), std::end(kWrappers), part) != std::end(kWrappers);
  });
  // A layer inside a network may be called so too; only at the beginning it is a wrapper.
  auto begin = parts.begin();
  while (begin != parts.end() && *begin == "module") ++begin;
  return absl::StrJoin(begin, parts.end(), ".");
}

const PickleValue* FindUnwrapped(const PickleValue& dict, absl::string_view name) {
  for (const auto& [key, value] : TorchFile::Entries(dict)) {
    if (TorchFile::IsText(*key) && WithoutWrappers(key->text) == name) return value;
  }
  return nullptr;
}

absl::StatusOr<std::vector<TensorInFile>> ReadStateDict(const std::shared_ptr<const TorchFile>& file,
                                                        const PickleValue& dict, absl::string_view what) {
  const std::vector<TorchFile::Entry> entries = TorchFile::Entries(dict);
  if (!TorchFile::IsDict(dict) || entries.empty()) {
    return Refuse(*file, what, " is ", entries.empty() && TorchFile::IsDict(dict) ? "empty" : DescribePickleValue(dict),
                  ", not a state_dict");
  }
  std::vector<TensorInFile> tensors;
  absl::flat_hash_set<std::string> names;
  for (const auto& [key, value] : entries) {
    if (!TorchFile::IsText(*key)) return Refuse(*file, what, " has a key that is not a str");
    std::string name = WithoutWrappers(key->text);
    if (!names.insert(name).second) {
      return Refuse(*file, what, " has two tensors that are both called ", name, " without the prefixes of wrappers");
    }
    ASSIGN_OR_RETURN(TorchTensor tensor, file->Tensor(*value, name));
    tensors.push_back({std::move(name), file, std::move(tensor)});
  }
  return tensors;
}

}  // namespace arcshard::cli
