#include "common/pickle/torch_writer.h"

#include <zip.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/pickle/pickle_opcodes.h"
#include "common/pickle/torch_storages.h"

namespace arcshard {
namespace {

// A pickle of protocol 2, of the opcodes that PyTorch's reader of weights allows.
class PickleWriter {
 public:
  PickleWriter() {
    Put(PickleOpcode::PROTO);
    bytes_.push_back('\2');
  }

  void Put(PickleOpcode opcode) { bytes_.push_back(static_cast<char>(opcode)); }
  void PutGlobal(absl::string_view module_and_name) {
    Put(PickleOpcode::GLOBAL);
    const size_t space = module_and_name.find(' ');
    absl::StrAppend(&bytes_, module_and_name.substr(0, space), "\n", module_and_name.substr(space + 1), "\n");
  }
  void PutText(absl::string_view text) {
    Put(PickleOpcode::BINUNICODE);
    PutBytesOf(static_cast<uint32_t>(text.size()));
    absl::StrAppend(&bytes_, text);
  }
  void PutInteger(int64_t integer) {
    if (integer >= 0 && integer <= std::numeric_limits<int32_t>::max()) {
      Put(PickleOpcode::BININT);
      PutBytesOf(static_cast<int32_t>(integer));
      return;
    }
    Put(PickleOpcode::LONG1);
    bytes_.push_back('\x8');
    PutBytesOf(integer);
  }
  void PutTuple(absl::Span<const int64_t> integers) {
    Put(PickleOpcode::MARK);
    for (const int64_t integer : integers) PutInteger(integer);
    Put(PickleOpcode::TUPLE);
  }
  std::string Take() && {
    Put(PickleOpcode::STOP);
    return std::move(bytes_);
  }

 private:
  template <typename T>
  void PutBytesOf(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string bytes_;
};

void PutEmptyOrderedDict(PickleWriter* pickle) {
  pickle->PutGlobal("collections OrderedDict");
  pickle->Put(PickleOpcode::EMPTY_TUPLE);
  pickle->Put(PickleOpcode::REDUCE);
}

// torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)
void PutTensor(const TensorSpec& spec, absl::string_view storage_type, size_t key, PickleWriter* pickle) {
  std::vector<int64_t> strides(spec.shape.size(), 1);
  int64_t elements = 1;
  for (size_t d = spec.shape.size(); d-- > 0; elements *= spec.shape[d]) strides[d] = elements;
  pickle->PutGlobal("torch._utils _rebuild_tensor_v2");
  pickle->Put(PickleOpcode::MARK);
  pickle->Put(PickleOpcode::MARK);
  pickle->PutText("storage");
  pickle->PutGlobal(storage_type);
  pickle->PutText(absl::StrCat(key));
  pickle->PutText("cpu");
  pickle->PutInteger(elements);
  pickle->Put(PickleOpcode::TUPLE);
  pickle->Put(PickleOpcode::BINPERSID);
  pickle->PutInteger(0);
  pickle->PutTuple(spec.shape);
  pickle->PutTuple(strides);
  pickle->Put(PickleOpcode::NEWFALSE);
  PutEmptyOrderedDict(pickle);
  pickle->Put(PickleOpcode::TUPLE);
  pickle->Put(PickleOpcode::REDUCE);
}

absl::StatusOr<std::string> PickleOf(absl::Span<const TensorView> tensors) {
  PickleWriter pickle;
  pickle.Put(PickleOpcode::EMPTY_DICT);  // LibTorch reads an OrderedDict as None, PyTorch reads both
  pickle.Put(PickleOpcode::MARK);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = tensors[i].spec;
    const absl::string_view type = TorchStorageTypeOf(spec.dtype);
    uint64_t bytes = DtypeSize(spec.dtype);
    for (const int64_t size : spec.shape) bytes *= static_cast<uint64_t>(size);
    if (type.empty() || bytes != tensors[i].data.size()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor \"", spec.name, "\" of ", DtypeName(spec.dtype), " and ",
                                                     tensors[i].data.size(), " bytes cannot be written for PyTorch"));
    }
    pickle.PutText(spec.name);
    PutTensor(spec, type, i, &pickle);
  }
  pickle.Put(PickleOpcode::SETITEMS);
  return std::move(pickle).Take();
}

struct FreeSource {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};

// A zip archive in memory, whose entries are stored as they are.
class MemoryArchive {
 public:
  MemoryArchive() : source_(zip_source_buffer_create(nullptr, 0, 0, nullptr)) {
    if (source_ == nullptr) return;
    zip_source_keep(source_.get());  // the archive takes one reference, this object keeps the other
    archive_ = zip_open_from_source(source_.get(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
    if (archive_ == nullptr) zip_source_free(source_.get());
  }
  MemoryArchive(const MemoryArchive&) = delete;
  MemoryArchive& operator=(const MemoryArchive&) = delete;
  ~MemoryArchive() {
    if (archive_ != nullptr) zip_discard(archive_);
  }

  // `data` must stay until Take.
  bool Add(const std::string& name, absl::Span<const std::byte> data) {
    if (archive_ == nullptr) return false;
    zip_source_t* const content = zip_source_buffer(archive_, data.data(), data.size(), 0);
    if (content == nullptr) return false;
    const zip_int64_t index = zip_file_add(archive_, name.c_str(), content, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(content);
      return false;
    }
    constexpr time_t kSomeDay = 315705600;  // 1980-01-03: the same tensors give the same file
    const zip_uint64_t entry = static_cast<zip_uint64_t>(index);
    return zip_set_file_compression(archive_, entry, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_mtime(archive_, entry, kSomeDay, 0) == 0;
  }
  bool Add(const std::string& name, absl::string_view text) {
    return Add(name, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
  }

  // The archive's bytes; the last call. nullopt: they could not be made, for lack of memory.
  std::optional<std::string> Take() {
    if (archive_ == nullptr || zip_close(archive_) != 0) return std::nullopt;
    archive_ = nullptr;
    zip_stat_t info;
    zip_stat_init(&info);
    if (zip_source_stat(source_.get(), &info) != 0 || (info.valid & ZIP_STAT_SIZE) == 0) return std::nullopt;
    std::string bytes(info.size, '\0');
    if (zip_source_open(source_.get()) != 0) return std::nullopt;
    const zip_int64_t got = zip_source_read(source_.get(), bytes.data(), bytes.size());
    zip_source_close(source_.get());
    return got == static_cast<zip_int64_t>(bytes.size()) ? std::optional(std::move(bytes)) : std::nullopt;
  }

 private:
  std::unique_ptr<zip_source_t, FreeSource> source_;
  zip_t* archive_ = nullptr;
};

}  // namespace

absl::Status WriteTorchStateDict(const std::string& path, absl::Span<const TensorView> tensors) {
  const absl::StatusOr<std::string> pickle = PickleOf(tensors);
  if (!pickle.ok()) return Annotate(pickle.status(), path);
  MemoryArchive archive;
  bool added = archive.Add("archive/data.pkl", *pickle) && archive.Add("archive/byteorder", "little");
  for (size_t i = 0; i < tensors.size(); ++i) {
    added = added && archive.Add(absl::StrCat("archive/data/", i), tensors[i].data);
  }
  added = added && archive.Add("archive/version", "3\n");
  const std::optional<std::string> bytes = added ? archive.Take() : std::nullopt;
  if (!bytes.has_value())
    return absl::ResourceExhaustedError(absl::StrCat(path, ": there is no memory for its archive"));
  return WriteFileAtomically(path, *bytes);
}

}  // namespace arcshard
