#include "common/io/testing/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {

struct MemoryFileSystem::Node {
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  explicit Node(bool folder) : is_folder(folder) {}

  const bool is_folder;
  std::string bytes;
  std::string synced_bytes;
  Names names;
  Names synced_names;

  // A node with two names, or with a current and a synced name, is a single node in the copy too.
  std::shared_ptr<Node> Copy(std::map<const Node*, std::shared_ptr<Node>>* copied) const {
    std::shared_ptr<Node>& copy = (*copied)[this];
    if (copy != nullptr) return copy;
    copy = std::make_shared<Node>(is_folder);
    const std::shared_ptr<Node> result = copy;  // `copied` grows below
    result->bytes = bytes;
    result->synced_bytes = synced_bytes;
    for (const auto& [name, node] : names) result->names[name] = node->Copy(copied);
    for (const auto& [name, node] : synced_names) result->synced_names[name] = node->Copy(copied);
    return result;
  }

  void CutPower(const Survival& survival, std::mt19937* random) {
    const auto survives = [&](double chance) { return std::uniform_real_distribution<>()(*random) < chance; };
    if (survives(survival.bytes)) synced_bytes = bytes;
    bytes = synced_bytes;
    Names changed = names;
    changed.insert(synced_names.begin(), synced_names.end());
    for (const auto& [name, node] : changed) {
      if (!survives(survival.names)) continue;
      const auto now = names.find(name);
      if (now == names.end()) {
        synced_names.erase(name);
      } else {
        synced_names[name] = now->second;
      }
    }
    names = synced_names;
    for (const auto& [name, node] : names) node->CutPower(survival, random);
  }
};

class MemoryFileSystem::File final : public WritableFile {
 public:
  File(MemoryFileSystem* files, std::shared_ptr<Node> node) : files_(files), node_(std::move(node)) {}

  absl::Status Append(absl::Span<const std::byte> data) override {
    MutexLock lock(&files_->mutex_);
    node_->bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    MutexLock lock(&files_->mutex_);
    node_->synced_bytes = node_->bytes;
    return absl::OkStatus();
  }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  MemoryFileSystem* const files_;
  const std::shared_ptr<Node> node_;
};

// Reads the bytes that the file had when it was opened.
class MemoryFileSystem::Source final : public ByteSource {
 public:
  Source(std::string path, std::string bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {}

  const std::string& path() const override { return path_; }
  uint64_t size() const override { return bytes_.size(); }
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return absl::DataLossError(absl::StrCat(path_, ": ", out.size(), " bytes at offset ", offset,
                                              " are past the file's end at ", bytes_.size()));
    }
    bytes_.copy(reinterpret_cast<char*>(out.data()), out.size(), offset);
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string bytes_;
};

MemoryFileSystem::MemoryFileSystem() : root_(std::make_shared<Node>(true)) {}

MemoryFileSystem::MemoryFileSystem(const MemoryFileSystem& other) : FileSystem() {
  std::map<const Node*, std::shared_ptr<Node>> copied;
  MutexLock other_lock(&other.mutex_);
  MutexLock lock(&mutex_);
  root_ = other.root_->Copy(&copied);
}

MemoryFileSystem::~MemoryFileSystem() = default;

std::shared_ptr<MemoryFileSystem::Node> MemoryFileSystem::Find(absl::string_view path) const {
  std::shared_ptr<Node> node = root_;
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const auto found = node->names.find(std::string(name));
    if (found == node->names.end()) return nullptr;
    node = found->second;
  }
  return node;
}

absl::StatusOr<MemoryFileSystem::Place> MemoryFileSystem::FindPlace(const std::string& path,
                                                                    absl::string_view what_failed) const {
  const std::shared_ptr<Node> folder = Find(FolderOf(path));
  if (folder == nullptr) return ErrnoStatus(ENOENT, path, what_failed);
  if (!folder->is_folder) return ErrnoStatus(ENOTDIR, path, what_failed);
  return Place{folder, path.substr(path.rfind('/') + 1)};
}

absl::StatusOr<std::shared_ptr<MemoryFileSystem::Node>> MemoryFileSystem::FindFolder(
    const std::string& path, absl::string_view what_failed) const {
  std::shared_ptr<Node> folder = Find(path);
  if (folder == nullptr) return ErrnoStatus(ENOENT, path, what_failed);
  if (!folder->is_folder) return ErrnoStatus(ENOTDIR, path, what_failed);
  return folder;
}

absl::StatusOr<std::unique_ptr<WritableFile>> MemoryFileSystem::Create(const std::string& path) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Place place, FindPlace(path, "cannot create"));
  const auto [found, is_new] = place.folder->names.try_emplace(place.name);
  if (!is_new) return ErrnoStatus(EEXIST, path, "cannot create");
  found->second = std::make_shared<Node>(false);
  return std::make_unique<File>(this, found->second);
}

absl::StatusOr<std::unique_ptr<ByteSource>> MemoryFileSystem::Open(const std::string& path) {
  MutexLock lock(&mutex_);
  const std::shared_ptr<Node> node = Find(path);
  if (node == nullptr) return ErrnoStatus(ENOENT, path, "cannot open for reading");
  if (node->is_folder) return absl::FailedPreconditionError(absl::StrCat(path, ": is a folder, not a file"));
  return std::make_unique<Source>(path, node->bytes);
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::string what_failed = absl::StrCat("cannot rename to ", to);
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Place source, FindPlace(from, what_failed));
  ASSIGN_OR_RETURN(const Place target, FindPlace(to, what_failed));
  const auto found = source.folder->names.find(source.name);
  if (found == source.folder->names.end()) return ErrnoStatus(ENOENT, from, what_failed);
  const auto there = target.folder->names.find(target.name);
  if (there != target.folder->names.end() && there->second != found->second) {
    if (there->second->is_folder != found->second->is_folder) {
      return ErrnoStatus(there->second->is_folder ? EISDIR : ENOTDIR, from, what_failed);
    }
    if (!there->second->names.empty()) return ErrnoStatus(ENOTEMPTY, from, what_failed);
  }
  std::shared_ptr<Node> node = std::move(found->second);
  source.folder->names.erase(found);
  target.folder->names[target.name] = std::move(node);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const Place place, FindPlace(path, "cannot remove"));
  const auto found = place.folder->names.find(place.name);
  if (found == place.folder->names.end()) return ErrnoStatus(ENOENT, path, "cannot remove");
  if (found->second->is_folder) return ErrnoStatus(EISDIR, path, "cannot remove");
  place.folder->names.erase(found);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RemoveFolder(const std::string& path) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> folder, FindFolder(path, "cannot remove the folder"));
  if (!folder->names.empty()) return ErrnoStatus(ENOTEMPTY, path, "cannot remove the folder");
  ASSIGN_OR_RETURN(const Place place, FindPlace(path, "cannot remove the folder"));
  place.folder->names.erase(place.name);
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::CreateFolders(const std::string& path) {
  MutexLock lock(&mutex_);
  std::shared_ptr<Node> node = root_;
  for (const absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    std::shared_ptr<Node>& next = node->names[std::string(name)];
    if (next == nullptr) {
      next = std::make_shared<Node>(true);
      node->synced_names = node->names;
    }
    if (!next->is_folder) return ErrnoStatus(ENOTDIR, path, "cannot create the folder");
    node = next;
  }
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::SyncFolder(const std::string& path) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> folder, FindFolder(path, "cannot open the folder"));
  folder->synced_names = folder->names;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileSystem::Entry>> MemoryFileSystem::List(const std::string& path) {
  MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> folder, FindFolder(path, "cannot open the folder"));
  std::vector<Entry> entries;
  for (const auto& [name, node] : folder->names) entries.push_back({name, node->is_folder});
  return entries;
}

void MemoryFileSystem::CutPower(const Survival& survival) {
  std::mt19937 random(survival.seed);
  MutexLock lock(&mutex_);
  root_->CutPower(survival, &random);
}

std::string MemoryFileSystem::Contents(const std::string& path) const {
  MutexLock lock(&mutex_);
  const std::shared_ptr<Node> node = Find(path);
  if (node == nullptr || node->is_folder) std::abort();  // the test's own mistake
  return node->bytes;
}

void MemoryFileSystem::SetContents(const std::string& path, absl::string_view contents) {
  MutexLock lock(&mutex_);
  const std::shared_ptr<Node> node = Find(path);
  if (node == nullptr || node->is_folder) std::abort();  // the test's own mistake
  node->bytes = node->synced_bytes = std::string(contents);
}

}  // namespace arcshard
