#include "worker/data/formats/verification_set.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/run_config.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"
#include "worker/data/formats/verification_list.h"

namespace arcshard::worker {

using Kind = PickleValue::Kind;

absl::StatusOr<std::unique_ptr<VerificationSet>> VerificationSet::Load(const std::string& path) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path));
  return IsPairList(path, bytes) ? FromList(path, bytes) : Parse(path, std::move(bytes));
}

absl::StatusOr<std::unique_ptr<VerificationSet>> VerificationSet::FromList(const std::string& path,
                                                                           absl::string_view text) {
  ASSIGN_OR_RETURN(PairList list, ParsePairList(path, text));
  auto set = std::unique_ptr<VerificationSet>(new VerificationSet);
  set->path_ = path;
  set->name_ = NameOfSetFile(path);
  set->same_ = std::move(list.same);
  absl::flat_hash_map<absl::string_view, absl::string_view>
      read;  // path -> its bytes: an image may be in several pairs
  for (const std::string& file : list.paths) {
    const auto [known, is_new] = read.try_emplace(file);
    if (is_new) {
      absl::StatusOr<std::string> bytes = ReadFile(file);
      if (!bytes.ok()) return Annotate(bytes.status(), path);
      known->second = set->files_.emplace_back(*std::move(bytes));
    }
    set->images_.push_back(known->second);
  }
  RETURN_IF_ERROR(set->CheckCounts());
  return set;
}

absl::Status VerificationSet::CheckCounts() const {
  if (!same_.empty() && images_.size() == 2 * same_.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", images_.size(), " images and ", same_.size(),
                                                 " flags; there must be two images for each flag"));
}

absl::StatusOr<std::unique_ptr<VerificationSet>> VerificationSet::Parse(const std::string& path, std::string bytes) {
  auto set = std::unique_ptr<VerificationSet>(new VerificationSet);
  set->path_ = path;
  set->name_ = NameOfSetFile(path);

  const std::string kind_hint = FileKindHint(bytes);
  absl::StatusOr<std::unique_ptr<PickleDocument>> document =
      PickleDocument::Parse(std::move(bytes), BytesAndArrayGlobals());
  if (!document.ok()) {
    return absl::Status(document.status().code(), absl::StrCat(path, ": ", document.status().message(), kind_hint));
  }
  set->document_ = *std::move(document);

  const auto refuse = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what...));
  };
  const PickleValue& root = set->document_->root();
  if ((root.kind != Kind::kTuple && root.kind != Kind::kList) || root.items.size() != 2) {
    return refuse("the pickle is ", PickleKindName(root.kind), " of ", root.items.size(),
                  " values, not (images, flags)");
  }
  const auto images = set->interpreter_.Items(*root.items[0]);
  if (!images.ok()) return refuse("the images are ", images.status().message());
  for (size_t i = 0; i < images->size(); ++i) {
    const absl::StatusOr<absl::string_view> image = set->interpreter_.Bytes(*(*images)[i]);
    if (!image.ok()) return refuse("image ", i, " is ", image.status().message());
    set->images_.push_back(*image);
  }
  absl::StatusOr<std::vector<bool>> same = set->interpreter_.Bools(*root.items[1]);
  if (!same.ok()) return refuse("the flags are ", same.status().message());
  set->same_ = *std::move(same);
  RETURN_IF_ERROR(set->CheckCounts());
  return set;
}

}  // namespace arcshard::worker
