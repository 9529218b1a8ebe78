#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/pickle/torch_storages.h"

namespace arcshard {
namespace {

using Kind = PickleValue::Kind;
using std::string_literals::operator""s;

// The first two pickles: a magic number and the format's version.
const std::string& Preamble() {
  static const std::string preamble = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."s;
  return preamble;
}

constexpr uint64_t kFirstWindow = uint64_t{1} << 20, kLargestWindow = uint64_t{256} << 20;

class StreamStorages final : public TorchStorages {
 public:
  struct Place {
    uint64_t offset = 0, bytes = 0;
  };
  StreamStorages(ReadableFile file, std::map<std::string, Place> places)
      : file_(std::move(file)), places_(std::move(places)) {}

  absl::StatusOr<uint64_t> Size(const std::string& key) override {
    const auto found = places_.find(key);
    if (found == places_.end()) return absl::DataLossError(absl::StrCat(file_.path(), ": has no storage ", key));
    return found->second.bytes;
  }

  absl::Status Read(const std::string& key, uint64_t offset, absl::Span<std::byte> out) override {
    ASSIGN_OR_RETURN(const uint64_t bytes, Size(key));
    if (offset > bytes || out.size() > bytes - offset) {
      return absl::DataLossError(
          absl::StrCat(file_.path(), ": storage ", key, " ends at byte ", bytes, ", not at ", offset + out.size()));
    }
    return file_.ReadAt(places_.at(key).offset + offset, out);
  }

 private:
  const ReadableFile file_;
  const std::map<std::string, Place> places_;
};

// Reads the parts of a file in their order.
class StreamReader {
 public:
  explicit StreamReader(ReadableFile file) : file_(std::move(file)) {}

  absl::Status SkipPreamble() {
    absl::StatusOr<std::string> preamble = Take(std::min<uint64_t>(Preamble().size(), Rest()));
    if (!preamble.ok()) return preamble.status();
    if (*preamble == Preamble()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(file_.path(), ": is no file of PyTorch's torch.save"));
  }

  // A pickle does not contain its length, so read more and more bytes until they contain all of it.
  absl::StatusOr<std::unique_ptr<PickleDocument>> TakePickle() {
    const uint64_t begin = at_;
    for (uint64_t window = kFirstWindow;; window *= 16) {
      at_ = begin;
      const uint64_t bytes = std::min(window, Rest());
      ASSIGN_OR_RETURN(std::string text, Take(bytes));
      absl::StatusOr<std::unique_ptr<PickleDocument>> document =
          PickleDocument::ParsePrefix(std::move(text), TorchGlobals());
      if (document.ok()) {
        at_ = begin + (*document)->length();
        return document;
      }
      if (bytes < window || window == kLargestWindow) {
        return Annotate(document.status(), absl::StrCat(file_.path(), ": the pickle at ", begin));
      }
    }
  }

  // The places of the storages that `objects` names; they are stored in the order of `keys`.
  absl::StatusOr<std::map<std::string, StreamStorages::Place>> TakePlaces(const PickleDocument& objects,
                                                                          const PickleDocument& keys) {
    std::map<std::string, size_t> element_bytes;
    for (const PickleValue& value : objects.values()) {
      if (value.kind != Kind::kPersistent) continue;
      absl::StatusOr<TorchStorageId> id = ParseTorchStorageId(value);
      if (!id.ok()) return Annotate(id.status(), absl::StrCat(file_.path(), ": a persistent id is"));
      element_bytes[id->key] = DtypeSize(id->dtype);
    }
    std::map<std::string, StreamStorages::Place> places;
    for (const PickleValue* key : keys.root().items) {
      const auto found = element_bytes.find(std::string(key->text));
      if (found == element_bytes.end()) {
        return absl::DataLossError(absl::StrCat(file_.path(), ": has a storage that no tensor is in"));
      }
      ASSIGN_OR_RETURN(const std::string length, Take(sizeof(uint64_t)));
      uint64_t elements = 0;
      std::memcpy(&elements, length.data(), sizeof elements);
      if (elements > Rest() / found->second) {
        return absl::DataLossError(absl::StrCat(file_.path(), ": is cut off, or damaged, in storage ", found->first));
      }
      places[found->first] = {at_, elements * found->second};
      at_ += elements * found->second;
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
