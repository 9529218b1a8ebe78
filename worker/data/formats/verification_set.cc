#include "worker/data/formats/verification_set.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::worker {

using Kind = PickleValue::Kind;

absl::StatusOr<std::unique_ptr<VerificationSet>> VerificationSet::Load(const std::string& path) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path));
  return Parse(path, std::move(bytes));
}

absl::StatusOr<std::unique_ptr<VerificationSet>> VerificationSet::Parse(const std::string& path, std::string bytes) {
  auto set = std::unique_ptr<VerificationSet>(new VerificationSet);
  set->path_ = path;
  absl::string_view name = path;
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  set->name_ = std::string(absl::StripSuffix(name, ".bin"));

  absl::StatusOr<std::unique_ptr<PickleDocument>> document =
      PickleDocument::Parse(std::move(bytes), BytesAndArrayGlobals());
  if (!document.ok()) return Annotate(document.status(), path);
  set->document_ = *std::move(document);

  const auto refuse = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what...));
  };
  const PickleValue& root = set->document_->root();
  if ((root.kind != Kind::kTuple && root.kind != Kind::kList) || root.items.size() != 2) {
    return refuse("the pickle is ", PickleKindName(root.kind), " of ", root.items.size(),
                  " values, not (images, flags)");
  }
  const PickleValue& images = *root.items[0];
  if (images.kind != Kind::kList && images.kind != Kind::kTuple) {
    return refuse("the images are ", PickleKindName(images.kind), ", not a list");
  }
  for (size_t i = 0; i < images.items.size(); ++i) {
    const absl::StatusOr<absl::string_view> image = set->interpreter_.Bytes(*images.items[i]);
    if (!image.ok()) return refuse("image ", i, " is ", image.status().message());
    set->images_.push_back(*image);
  }
  absl::StatusOr<std::vector<bool>> same = set->interpreter_.Bools(*root.items[1]);
  if (!same.ok()) return refuse("the flags are ", same.status().message());
  set->same_ = *std::move(same);
  if (set->same_.empty() || set->images_.size() != 2 * set->same_.size()) {
    return refuse(set->images_.size(), " images and ", set->same_.size(),
                  " flags; there must be two images for each flag");
  }
  return set;
}

}  // namespace arcshard::worker
