#include "common/checkpoint/manifest.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/crc32c.h"

namespace arcshard {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;  // only to write: it finds a key by looking at all of them

constexpr absl::string_view kFormat = "arcshard checkpoint 1";
// The text of the last field, before and after its eight digits.
constexpr absl::string_view kCrcBegin = "  \"crc32c\": \"";
constexpr absl::string_view kCrcEnd = "\"\n}\n";
constexpr size_t kCrcDigits = 8;
constexpr char kConfigBytes[] = "config_bytes";  // instead of config_yaml, for a configuration that is not UTF-8

uint32_t CrcOfText(absl::string_view text) {
  return Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

std::string Hex32(uint32_t value) { return absl::StrFormat("%08x", value); }
std::string Hex64(uint64_t value) { return absl::StrFormat("%016x", value); }

// Parses exactly as many lower-case digits as T has.
template <typename T>
absl::StatusOr<T> FromHex(absl::string_view text) {
  T value = 0;
  if (text.size() != 2 * sizeof(T)) return absl::DataLossError(absl::StrCat("'", text, "' is no hexadecimal number"));
  for (const char digit : text) {
    if (!absl::ascii_isxdigit(digit) || absl::ascii_isupper(digit)) {
      return absl::DataLossError(absl::StrCat("'", text, "' is no hexadecimal number"));
    }
    value = static_cast<T>(value << 4 | static_cast<T>(absl::ascii_isdigit(digit) ? digit - '0' : digit - 'a' + 10));
  }
  return value;
}

bool IsUtf8(const std::string& text) {
  try {
    ordered_json(text).dump();
    return true;
  } catch (const ordered_json::type_error&) {
    return false;
  }
}

// Any bytes as UTF-8: each becomes the character with its number, as in Latin-1.
std::string BytesToCharacters(absl::string_view bytes) {
  std::string characters;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      characters.push_back(c);
    } else {
      characters.push_back(static_cast<char>(0xc0 | byte >> 6));
      characters.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  return characters;
}

// The bytes of which BytesToCharacters makes these characters; of others whatever, since ParseManifest compares.
std::string CharactersToBytes(absl::string_view characters) {
  std::string bytes;
  for (size_t i = 0; i < characters.size(); ++i) {
    const auto first = static_cast<unsigned char>(characters[i]);
    if (first < 0x80 || i + 1 == characters.size()) {
      bytes.push_back(characters[i]);
    } else {
      bytes.push_back(static_cast<char>(first << 6 | (static_cast<unsigned char>(characters[++i]) & 0x3f)));
    }
  }
  return bytes;
}

ordered_json FormatFile(const FileRecord& file) {
  std::string blocks;
  blocks.reserve(file.block_crc32c.size() * kCrcDigits);
  for (const uint32_t crc : file.block_crc32c) blocks += Hex32(crc);
  ordered_json value;
  value["name"] = file.name;
  value["bytes"] = file.bytes;
  value["crc32c"] = Hex32(file.crc32c);
  value["block_crc32c"] = std::move(blocks);
  return value;
}

absl::StatusOr<FileRecord> ParseFile(const json& value) {
  FileRecord file;
  file.name = value.at("name").get<std::string>();
  file.bytes = value.at("bytes").get<uint64_t>();
  ASSIGN_OR_RETURN(file.crc32c, FromHex<uint32_t>(value.at("crc32c").get<std::string>()));
  const std::string& blocks = value.at("block_crc32c").get_ref<const std::string&>();
  const uint64_t wanted = file.bytes / FileRecord::kBlockBytes + (file.bytes % FileRecord::kBlockBytes != 0 ? 1 : 0);
  if (blocks.size() % kCrcDigits != 0 || blocks.size() / kCrcDigits != wanted) {
    return absl::DataLossError(absl::StrCat("file '", file.name, "' of ", file.bytes, " bytes has ", wanted,
                                            " blocks, but ", blocks.size(), " digits of their CRC-32C"));
  }
  file.block_crc32c.reserve(wanted);
  for (size_t i = 0; i < blocks.size(); i += kCrcDigits) {
    ASSIGN_OR_RETURN(const uint32_t crc, FromHex<uint32_t>(absl::string_view(blocks).substr(i, kCrcDigits)));
    file.block_crc32c.push_back(crc);
  }
  return file;
}

absl::StatusOr<Manifest> FromJson(const json& value) {
  Manifest manifest;
  const auto read = [](const json& object, const char* key, auto* out) { object.at(key).get_to(*out); };
  // What is optional here is not written where it has its default; earlier versions did not know it.
  const auto read_if_there = [&](const json& object, const char* key, auto* out) {
    if (object.contains(key)) read(object, key, out);
  };
  read(value, "step", &manifest.step);
  if (value.contains("lineage")) {
    ASSIGN_OR_RETURN(manifest.lineage, FromHex<uint64_t>(value.at("lineage").get<std::string>()));
  }
  read(value, "incarnation", &manifest.incarnation);
  read_if_there(value, "view_counter", &manifest.view_counter);
  read(value, "num_classes", &manifest.num_classes);
  read(value, "embedding_size", &manifest.embedding_size);
  const json& data = value.at("data");
  read(data, "samples", &manifest.data.samples);
  read(data, "classes", &manifest.data.classes);
  ASSIGN_OR_RETURN(manifest.data.fingerprint, FromHex<uint64_t>(data.at("fingerprint").get<std::string>()));
  read(value, "version", &manifest.version);
  read(value, "created", &manifest.created);
  const json& progress = value.at("progress");
  read(progress, "epoch", &manifest.epoch);
  read(progress, "skipped", &manifest.skipped);
  read(progress, "skips_in_a_row", &manifest.skips_in_a_row);
  read(progress, "corrupt_records", &manifest.corrupt_records);
  read(progress, "corrupt_in_epoch", &manifest.corrupt_in_epoch);
  read_if_there(progress, "verified_step", &manifest.verified_step);
  read(progress, "best_accuracy", &manifest.best.accuracy);
  read(progress, "best_step", &manifest.best.step);
  read_if_there(progress, "best_sets", &manifest.best.sets);
  read(value, "config_yaml", &manifest.config_yaml);
  if (value.contains(kConfigBytes)) {
    manifest.config_yaml = CharactersToBytes(value.at(kConfigBytes).get_ref<const std::string&>());
  }
  for (const json& file : value.at("files")) {
    ASSIGN_OR_RETURN(FileRecord record, ParseFile(file));
    manifest.files.push_back(std::move(record));
  }
  return manifest;
}

// Whether `name` can only be that of a file in the checkpoint's own folder.
bool IsFileName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." && name != "manifest.json" && !absl::StrContains(name, '/') &&
         !absl::StrContains(name, '\0');
}

absl::Status CheckFields(const Manifest& manifest) {
  if (manifest.num_classes < 0 || manifest.embedding_size < 0) {
    return absl::DataLossError(
        absl::StrCat(manifest.num_classes, " classes of ", manifest.embedding_size, " dimensions are impossible"));
  }
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    const std::string& name = manifest.files[i].name;
    if (!IsFileName(name)) return absl::DataLossError(absl::StrCat("'", name, "' cannot be a file's name"));
    if (i > 0 && manifest.files[i - 1].name >= name) {
      return absl::DataLossError(absl::StrCat("file '", name, "' is repeated or not in the order of names"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

RunCounters CountersOf(const Manifest& manifest) {
  return {.skipped = manifest.skipped,
          .skips_in_a_row = manifest.skips_in_a_row,
          .corrupt_records = manifest.corrupt_records,
          .corrupt_in_epoch = manifest.corrupt_in_epoch,
          .verified_step = manifest.verified_step,
          .best = manifest.best};
}

void Keep(const RunCounters& counters, Manifest* manifest) {
  manifest->skipped = counters.skipped;
  manifest->skips_in_a_row = counters.skips_in_a_row;
  manifest->corrupt_records = counters.corrupt_records;
  manifest->corrupt_in_epoch = counters.corrupt_in_epoch;
  manifest->verified_step = counters.verified_step;
  manifest->best = counters.best;
}

absl::StatusOr<std::string> FormatManifest(const Manifest& manifest) {
  ordered_json value;
  value["format"] = std::string(kFormat);
  value["version"] = manifest.version;
  value["created"] = manifest.created;
  value["step"] = manifest.step;
  if (manifest.lineage != 0) value["lineage"] = Hex64(manifest.lineage);
  value["incarnation"] = manifest.incarnation;
  if (manifest.view_counter != 1) value["view_counter"] = manifest.view_counter;
  value["num_classes"] = manifest.num_classes;
  value["embedding_size"] = manifest.embedding_size;
  value["data"] = {{"samples", manifest.data.samples},
                   {"classes", manifest.data.classes},
                   {"fingerprint", Hex64(manifest.data.fingerprint)}};
  value["progress"] = {{"epoch", manifest.epoch},
                       {"skipped", manifest.skipped},
                       {"skips_in_a_row", manifest.skips_in_a_row},
                       {"corrupt_records", manifest.corrupt_records},
                       {"corrupt_in_epoch", manifest.corrupt_in_epoch},
                       {"best_accuracy", manifest.best.accuracy},
                       {"best_step", manifest.best.step}};
  if (manifest.verified_step != 0) value["progress"]["verified_step"] = manifest.verified_step;
  if (!manifest.best.sets.empty()) value["progress"]["best_sets"] = manifest.best.sets;
  if (IsUtf8(manifest.config_yaml)) {
    value["config_yaml"] = manifest.config_yaml;
  } else {
    value["config_yaml"] = "";
    value[kConfigBytes] = BytesToCharacters(manifest.config_yaml);
  }
  value["files"] = ordered_json::array();
  for (const FileRecord& file : manifest.files) value["files"].push_back(FormatFile(file));
  std::string text;
  try {
    text = value.dump(2);
  } catch (const ordered_json::type_error&) {
    return absl::InvalidArgumentError("the manifest's texts are not all UTF-8");
  }
  text.resize(text.size() - 2);  // "\n}"
  text += ",\n";
  const uint32_t crc = CrcOfText(text);
  return absl::StrCat(text, kCrcBegin, Hex32(crc), kCrcEnd);
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view text, absl::string_view path) {
  const auto damaged = [&](auto... why) { return absl::DataLossError(absl::StrCat(path, ": ", why...)); };
  absl::string_view body = text;
  if (!absl::ConsumeSuffix(&body, kCrcEnd) || body.size() < kCrcDigits) {
    return damaged("does not end with its CRC-32C; it is damaged or no checkpoint's manifest");
  }
  const absl::StatusOr<uint32_t> written = FromHex<uint32_t>(body.substr(body.size() - kCrcDigits));
  body.remove_suffix(kCrcDigits);
  if (!written.ok() || !absl::ConsumeSuffix(&body, kCrcBegin)) {
    return damaged("does not end with its CRC-32C; it is damaged or no checkpoint's manifest");
  }
  if (const uint32_t crc = CrcOfText(body); crc != *written) {
    return damaged("its bytes have the CRC-32C ", Hex32(crc), ", not ", Hex32(*written), ": it is damaged");
  }
  absl::StatusOr<Manifest> manifest = absl::UnknownError("");
  try {
    const json value = json::parse(text.begin(), text.end());
    if (const std::string format = value.at("format").get<std::string>(); format != kFormat) {
      return damaged("is of the format '", format, "', which this version does not know ('", kFormat, "')");
    }
    manifest = FromJson(value);
  } catch (const json::exception& error) {
    return damaged("is no checkpoint's manifest: ", error.what());
  }
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  if (const absl::Status status = CheckFields(*manifest); !status.ok()) return Annotate(status, path);
  // Unknown and repeated fields and numbers of another type would be ignored, so compare with what would be written.
  if (const absl::StatusOr<std::string> again = FormatManifest(*manifest); !again.ok() || *again != text) {
    return damaged("holds something else than a checkpoint's manifest");
  }
  return manifest;
}

}  // namespace arcshard
