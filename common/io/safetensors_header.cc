#include "common/io/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::safetensors_internal {
namespace {

using nlohmann::json;
using Entry = SafetensorsFile::Entry;

constexpr uint64_t kLargestTensor = std::numeric_limits<int64_t>::max();
constexpr int kDeepest = 3;  // {"name": {"shape": [0]}}

std::string Quoted(absl::string_view name) {
  constexpr size_t kLongest = 80;
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(name.substr(0, kLongest)), name.size() > kLongest ? "..." : "",
                      "'");
}

// Parses JSON that is nested no deeper than a header can be and that repeats no key. nlohmann's parser keeps the last
// value of a repeated key, so another reader could see a different file.
absl::StatusOr<json> ParseStrictly(absl::string_view text) {
  std::vector<std::set<std::string>> open_objects;
  absl::Status status;
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (!status.ok()) return false;
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      if (depth >= kDeepest) {
        status = absl::DataLossError("the header is nested deeper than tensors are described");
        return false;
      }
    }
    if (event == json::parse_event_t::object_start) {
      open_objects.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      open_objects.pop_back();
    } else if (event == json::parse_event_t::key && !open_objects.back().insert(value.get<std::string>()).second) {
      status = absl::DataLossError(absl::StrCat("the header names ", Quoted(value.get<std::string>()), " twice"));
      return false;
    }
    return true;
  };
  json header;
  try {
    header = json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    RETURN_IF_ERROR(status);  // `check` found an error earlier in the text
    return absl::DataLossError(absl::StrCat("the header is not valid JSON at its byte ", error.byte));
  } catch (const json::out_of_range&) {  // a number such as 1e999
    return absl::DataLossError("the header holds a number that is out of range");
  }
  RETURN_IF_ERROR(status);
  if (!header.is_object()) return absl::DataLossError("the header is not a JSON object");
  return header;
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
  ASSIGN_OR_RETURN(const json value, ParseStrictly(text));
  Header header;
  for (const auto& [name, description] : value.items()) {
    if (name == "__metadata__") {
      ASSIGN_OR_RETURN(header.metadata, ParseMetadata(description));
      continue;
    }
    absl::StatusOr<Entry> entry = ParseEntry(description);
    if (!entry.ok()) {
      return absl::Status(entry.status().code(), absl::StrCat("tensor ", Quoted(name), " ", entry.status().message()));
    }
    header.entries.emplace(name, *std::move(entry));
  }
  RETURN_IF_ERROR(CheckLayout(header.entries, data_bytes));
  return header;
}

absl::StatusOr<std::string> FormatHeader(const std::vector<TensorSpec>& tensors, const std::vector<uint64_t>& bytes,
                                         const SafetensorsMetadata& metadata) {
  json header = json::object();  // sorted by name, not by position: data_offsets tell where a tensor is
  if (!metadata.empty()) header["__metadata__"] = metadata;
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
