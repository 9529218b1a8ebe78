#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/pickle/torch_storages.h"
#include "common/text/file_kind.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;

// The first pickle: a number, in binary or, in protocols 0 and 1, in decimal.
constexpr absl::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr absl::string_view kMagicInDecimal = "119547037146038801333356";
constexpr int64_t kVersion = 1001;  // the second one

constexpr uint64_t kPreambleWindow = 64;  // bytes in which each of these two ends
constexpr uint64_t kFirstWindow = uint64_t{1} << 20, kLargestWindow = uint64_t{256} << 20;

class StreamStorages final : public TorchStorages {
 public:
  struct Place {
    uint64_t offset = 0, bytes = 0;
  };
  struct Places {
    std::map<std::string, Place> by_key;
    std::string ends_at;  // the type of a storage that hides those behind it; empty: all are known
  };
  StreamStorages(ReadableFile file, Places places) : file_(std::move(file)), places_(std::move(places)) {}

  absl::StatusOr<uint64_t> Size(const std::string& key) override {
    const auto found = places_.by_key.find(key);
    if (found != places_.by_key.end()) return found->second.bytes;
    if (places_.ends_at.empty()) return absl::DataLossError(absl::StrCat(file_.path(), ": has no storage ", key));
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": storage ", key, " lies behind one of type ",
                                                   places_.ends_at, ", whose size is not known here"));
  }

  absl::Status Read(const std::string& key, uint64_t offset, absl::Span<std::byte> out) override {
    ASSIGN_OR_RETURN(const uint64_t bytes, Size(key));
    if (offset > bytes || out.size() > bytes - offset) {
      return absl::DataLossError(
          absl::StrCat(file_.path(), ": storage ", key, " ends at byte ", bytes, ", not at ", offset + out.size()));
    }
    return file_.ReadAt(places_.by_key.at(key).offset + offset, out);
  }

 private:
  const ReadableFile file_;
  const Places places_;
};

// Reads the parts of a file in their order.
class StreamReader {
 public:
  explicit StreamReader(ReadableFile file) : file_(std::move(file)) {}

  absl::Status SkipPreamble() {
    absl::StatusOr<std::unique_ptr<PickleDocument>> pickle = TakePickle(kPreambleWindow, kPreambleWindow);
    bool begins = pickle.ok() && (*pickle)->root().kind == Kind::kLongInt &&
                  ((*pickle)->root().text == kMagic || (*pickle)->root().text == kMagicInDecimal);
    if (begins) {
      pickle = TakePickle(kPreambleWindow, kPreambleWindow);
      begins = pickle.ok() && (*pickle)->root().kind == Kind::kInt && (*pickle)->root().integer == kVersion;
    }
    if (begins) return absl::OkStatus();
    at_ = 0;
    ASSIGN_OR_RETURN(const std::string head, Take(std::min<uint64_t>(kFileKindBytes, Rest())));
    return absl::FailedPreconditionError(
        absl::StrCat(file_.path(), ": is no file of PyTorch's torch.save", FileKindHint(head)));
  }

  // A pickle does not contain its length, so read more and more bytes until they contain all of it.
  absl::StatusOr<std::unique_ptr<PickleDocument>> TakePickle(uint64_t first_window = kFirstWindow,
                                                             uint64_t largest_window = kLargestWindow) {
    const uint64_t begin = at_;
    for (uint64_t window = first_window;; window *= 16) {
      at_ = begin;
      const uint64_t bytes = std::min(window, Rest());
      ASSIGN_OR_RETURN(std::string text, Take(bytes));
      absl::StatusOr<std::unique_ptr<PickleDocument>> document =
          PickleDocument::ParsePrefix(std::move(text), std::nullopt);
      if (document.ok()) {
        at_ = begin + (*document)->length();
        return document;
      }
      if (bytes < window || window >= largest_window) {
        return Annotate(document.status(), absl::StrCat(file_.path(), ": the pickle at ", begin));
      }
    }
  }

  // The places of the storages that `objects` names; they are stored in the order of `keys`. Behind one whose elements
  // have an unknown size no other can be found.
  absl::StatusOr<StreamStorages::Places> TakePlaces(const PickleDocument& objects, const PickleDocument& keys) {
    std::map<std::string, TorchStorageId> ids;
    for (const PickleValue& value : objects.values()) {
      if (value.kind != Kind::kPersistent) continue;
      if (value.items[0]->kind == Kind::kText) {
        return absl::InvalidArgumentError(absl::StrCat(
            file_.path(),
            ": was written with pickle_protocol=0, which loses where tensors lie; PyTorch cannot read it either"));
      }
      absl::StatusOr<TorchStorageId> id = ParseTorchStorageId(value);
      if (id.ok()) ids[id->key] = *std::move(id);  // others are classes with their source text
    }
    StreamStorages::Places places;
    for (const PickleValue* key : keys.root().items) {
      const auto found = ids.find(std::string(key->text));
      if (found == ids.end()) {
        return absl::DataLossError(absl::StrCat(file_.path(), ": has a storage that no tensor is in"));
      }
      const size_t element_bytes = found->second.element_bytes;
      if (element_bytes == 0) {
        places.ends_at = absl::CHexEscape(found->second.type);
        break;
      }
      ASSIGN_OR_RETURN(const std::string length, Take(sizeof(uint64_t)));
      uint64_t elements = 0;
      std::memcpy(&elements, length.data(), sizeof elements);
      if (elements > Rest() / element_bytes) {
        return absl::DataLossError(absl::StrCat(file_.path(), ": is cut off, or damaged, in storage ", found->first));
      }
      places.by_key[found->first] = {at_, elements * element_bytes};
      at_ += elements * element_bytes;
    }
    return places;
  }

  ReadableFile TakeFile() && { return std::move(file_); }

 private:
  uint64_t Rest() const { return file_.size() - at_; }
  absl::StatusOr<std::string> Take(uint64_t bytes) {
    if (bytes > Rest()) return absl::DataLossError(absl::StrCat(file_.path(), ": is cut off"));
    std::string text(bytes, '\0');
    RETURN_IF_ERROR(file_.ReadAt(at_, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
    at_ += bytes;
    return text;
  }

  ReadableFile file_;
  uint64_t at_ = 0;
};

}  // namespace

absl::StatusOr<TorchContents> OpenTorchStream(const std::string& path) {
  ASSIGN_OR_RETURN(ReadableFile file, ReadableFile::Open(path));
  StreamReader reader(std::move(file));
  RETURN_IF_ERROR(reader.SkipPreamble());
  ASSIGN_OR_RETURN(const auto system, reader.TakePickle());  // describes the machine that wrote the file
  for (const auto& [key, value] : system->root().entries) {
    if (key->text == "little_endian" && value->integer != 1) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": was written on a machine that is not little-endian"));
    }
  }
  ASSIGN_OR_RETURN(auto objects, reader.TakePickle());
  ASSIGN_OR_RETURN(const auto keys, reader.TakePickle());
  ASSIGN_OR_RETURN(auto places, reader.TakePlaces(*objects, *keys));
  auto storages = std::make_unique<StreamStorages>(std::move(reader).TakeFile(), std::move(places));
  return TorchContents{std::move(objects), std::move(storages)};
}

}  // namespace arcshard
