#include "common/io/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::safetensors_internal {
namespace {

using nlohmann::json;
using Entry = SafetensorsFile::Entry;

constexpr uint64_t kLargestTensor = std::numeric_limits<int64_t>::max();
constexpr size_t kDeepest = 3;  // {"name": {"shape": [0]}}
constexpr absl::string_view kMetadata = "__metadata__";

std::string Quoted(absl::string_view name) {
  constexpr size_t kLongest = 80;
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(name.substr(0, kLongest)), name.size() > kLongest ? "..." : "",
                      "'");
}

absl::StatusOr<SafetensorsMetadata> ParseMetadata(const json& value) {
  if (!value.is_object()) return absl::DataLossError("__metadata__ is not an object");
  SafetensorsMetadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return absl::DataLossError(absl::StrCat("metadata ", Quoted(key), " is not a string"));
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

absl::StatusOr<Entry> ParseEntry(const json& value) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    return absl::DataLossError("is not described by dtype, shape and data_offsets alone");
  }
  Entry entry;
  if (!value["dtype"].is_string()) return absl::DataLossError("dtype is not a string");
  const std::string dtype_name = value["dtype"].get<std::string>();
  const std::optional<TensorDtype> dtype = DtypeFromName(dtype_name);
  if (!dtype) return absl::DataLossError(absl::StrCat("has the unknown dtype ", Quoted(dtype_name)));
  entry.dtype = *dtype;

  if (!value["shape"].is_array()) return absl::DataLossError("shape is not a list");
  for (const json& size : value["shape"]) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > kLargestTensor) {
      return absl::DataLossError("shape holds something else than sizes");
    }
    entry.shape.push_back(static_cast<int64_t>(size.get<uint64_t>()));
  }

  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return absl::DataLossError("data_offsets is not a pair of offsets");
  }
  entry.offset = offsets[0].get<uint64_t>();
  const uint64_t end = offsets[1].get<uint64_t>();
  if (end < entry.offset)
    return absl::DataLossError(absl::StrCat("ends at ", end, ", before its begin ", entry.offset));
  entry.bytes = end - entry.offset;

  const absl::StatusOr<uint64_t> bytes = TensorBytes(entry.dtype, entry.shape);
  if (!bytes.ok()) return absl::DataLossError(bytes.status().message());
  if (*bytes != entry.bytes) {
    return absl::DataLossError(absl::StrCat("takes ", entry.bytes, " bytes, but its shape and dtype make ", *bytes));
  }
  return entry;
}

// Reads a header tensor by tensor: a tensor's description is kept only until its end, and each value is looked at once.
// (nlohmann's parser with a callback looks at all tensors so far at the end of each.) Refuses JSON that is nested
// deeper than a header can be or that repeats a key, of which another reader could see another value.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  absl::StatusOr<Header> Read(absl::string_view text) {
    const bool whole = json::sax_parse(text.begin(), text.end(), this);
    RETURN_IF_ERROR(status_);
    if (!whole) return absl::DataLossError("the header is not valid JSON");
    return std::move(header_);
  }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(int64_t value) override { return Add(value); }
  bool number_unsigned(uint64_t value) override { return Add(value); }
  bool number_float(double value, const std::string&) override { return Add(value); }
  bool string(std::string& value) override { return Add(std::move(value)); }
  bool binary(json::binary_t& value) override { return Add(std::move(value)); }  // not in JSON
  bool start_object(size_t) override { return in_header_ ? Open(json::object()) : (in_header_ = true); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(json::array()); }
  bool end_array() override { return Close(); }
  bool key(std::string& name) override;
  bool parse_error(size_t byte, const std::string&, const json::exception& error) override {
    constexpr int kNumberOutOfRange = 406;  // such as 1e999
    return Refuse(error.id == kNumberOutOfRange ? "the header holds a number that is out of range"
                                                : absl::StrCat("the header is not valid JSON at its byte ", byte));
  }

 private:
  bool Refuse(absl::string_view why) {
    if (status_.ok()) status_ = absl::DataLossError(why);
    return false;
  }
  json* Place(json value);
  bool Add(json value) { return Place(std::move(value)) != nullptr && (!open_.empty() || Finish()); }
  bool Open(json value);
  bool Close();
  bool Finish();

  Header header_;
  absl::Status status_;
  bool in_header_ = false;
  bool has_metadata_ = false;
  std::string name_;         // of the tensor, or __metadata__
  json description_;         // its value
  std::vector<json*> open_;  // the objects and lists in it that have not ended
  std::string key_;          // the latest one in it
};

bool HeaderReader::key(std::string& name) {
  ++header_.values;
  const bool repeated = !open_.empty()      ? open_.back()->contains(name)
                        : name == kMetadata ? std::exchange(has_metadata_, true)
                                            : header_.entries.contains(name);
  if (repeated) return Refuse(absl::StrCat("the header names ", Quoted(name), " twice"));
  (open_.empty() ? name_ : key_) = std::move(name);
  return true;
}

// Puts a value where the text has it; null: it cannot be there.
json* HeaderReader::Place(json value) {
  ++header_.values;
  if (!in_header_) {
    Refuse("the header is not a JSON object");
    return nullptr;
  }
  json* place = &description_;
  if (!open_.empty()) {
    json& parent = *open_.back();
    if (parent.is_array()) parent.push_back(nullptr);
    place = parent.is_array() ? &parent.back() : &parent[key_];
  }
  *place = std::move(value);
  return place;
}

bool HeaderReader::Open(json value) {
  if (in_header_ && open_.size() + 1 >= kDeepest)
    return Refuse("the header is nested deeper than tensors are described");
  json* const place = Place(std::move(value));
  if (place != nullptr) open_.push_back(place);
  return place != nullptr;
}

bool HeaderReader::Close() {
  if (open_.empty()) return true;  // the header itself
  open_.pop_back();
  return !open_.empty() || Finish();
}

// Keeps what name_ and description_ say.
bool HeaderReader::Finish() {
  if (name_ == kMetadata) {
    absl::StatusOr<SafetensorsMetadata> metadata = ParseMetadata(description_);
    if (!metadata.ok()) return Refuse(metadata.status().message());
    header_.metadata = *std::move(metadata);
    return true;
  }
  absl::StatusOr<Entry> entry = ParseEntry(description_);
  if (!entry.ok()) return Refuse(absl::StrCat("tensor ", Quoted(name_), " ", entry.status().message()));
  header_.entries.emplace(std::move(name_), *std::move(entry));
  return true;
}

// Checks that every byte of the data belongs to exactly one tensor.
absl::Status CheckLayout(const std::map<std::string, Entry>& entries, uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, const Entry*>> order;
  for (const auto& [name, entry] : entries) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->offset, a.second->bytes) < std::pair(b.second->offset, b.second->bytes);
  });
  uint64_t end = 0;
  for (const auto& [name, entry] : order) {
    if (entry->offset != end) {
      return absl::DataLossError(absl::StrCat("tensor ", Quoted(*name), " begins at ", entry->offset,
                                              ", but the one before it ends at ", end));
    }
    end = entry->offset + entry->bytes;
    if (end > data_bytes) {
      return absl::DataLossError(absl::StrCat("tensor ", Quoted(*name), " ends at ", end, ", past the ", data_bytes,
                                              " bytes of data (is the file truncated?)"));
    }
  }
  if (end != data_bytes) {
    return absl::DataLossError(absl::StrCat(data_bytes - end, " bytes follow the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> TensorBytes(TensorDtype dtype, const std::vector<int64_t>& shape) {
  uint64_t bytes = DtypeSize(dtype);
  for (const int64_t size : shape) {
    if (size < 0) return absl::InvalidArgumentError(absl::StrCat("has a dimension of ", size));
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes) || bytes > kLargestTensor) {
      return absl::InvalidArgumentError("has more bytes than 63 bits count");
    }
  }
  return bytes;
}

absl::StatusOr<Header> ParseHeader(absl::string_view text, uint64_t data_bytes) {
  // The format requires '{' first: no byte order mark and no blanks.
  if (text.empty() || text.front() != '{') return absl::DataLossError("the header does not begin with '{'");
  ASSIGN_OR_RETURN(Header header, HeaderReader().Read(text));
  RETURN_IF_ERROR(CheckLayout(header.entries, data_bytes));
  return header;
}

absl::StatusOr<std::string> FormatHeader(const std::vector<TensorSpec>& tensors, const std::vector<uint64_t>& bytes,
                                         const SafetensorsMetadata& metadata) {
  json header = json::object();  // sorted by name, not by position: data_offsets tell where a tensor is
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  uint64_t offset = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    header[tensors[i].name] = {{"dtype", std::string(DtypeName(tensors[i].dtype))},
                               {"shape", tensors[i].shape},
                               {"data_offsets", {offset, offset + bytes[i]}}};
    offset += bytes[i];
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::type_error&) {
    return absl::InvalidArgumentError("a tensor's name or the metadata is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kLargestHeader) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header would take ", text.size(), " bytes, more than ", kLargestHeader));
  }
  const uint64_t length = text.size();
  std::string result(sizeof(length), '\0');
  std::memcpy(result.data(), &length, sizeof(length));
  return result + text;
}

}  // namespace arcshard::safetensors_internal
