// Fuzz targets for training sets, verification sets, PyTorch's files and configurations.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "cli/migrate/import_config.h"
#include "cli/migrate/python_reader.h"
#include "common/config/load_config.h"
#include "common/pickle/torch_file.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/memory_file.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/recordio/record_file.h"
#include "worker/data/recordio/record_header.h"

namespace arcshard {
namespace {

// Reads every tensor in `value`, whose entries may form cycles, down to `depth` levels.
void ReadTensors(const TorchFile& file, const PickleValue& value, int depth) {
  if (TorchFile::IsTensor(value)) {
    const auto tensor = file.Tensor(value, "it");
    if (!tensor.ok()) return;
    std::vector<std::byte> bytes(static_cast<size_t>(tensor->elements()) * DtypeSize(tensor->dtype));
    file.ReadBytes(*tensor, 0, absl::MakeSpan(bytes)).IgnoreError();
    std::vector<float> last(tensor->elements() > 0 ? 1 : 0);
    if (!last.empty()) file.ReadFloats(*tensor, tensor->elements() - 1, absl::MakeSpan(last)).IgnoreError();
    return;
  }
  if (depth == 0) return;
  for (const auto& [key, inside] : value.entries) {
    Require(TorchFile::Find(value, key->text) != nullptr || key->kind != PickleValue::Kind::kText);
    ReadTensors(file, *inside, depth - 1);
  }
}

}  // namespace

void FuzzRecordFile(absl::string_view bytes) {
  if (bytes.size() < 2) return;
  const size_t idx_bytes = static_cast<uint8_t>(bytes[0]) | static_cast<size_t>(static_cast<uint8_t>(bytes[1])) << 8;
  bytes.remove_prefix(2);
  const size_t length = std::min(idx_bytes, bytes.size());
  const MemoryFile idx(bytes.substr(0, length)), rec(bytes.substr(length));
  const auto file = worker::RecordFile::Open(rec.path(), idx.path());
  if (!file.ok()) return;
  std::string payload;
  for (int64_t i = 0; i < (*file)->size(); ++i) {
    worker::RecordHeader header;
    if (!(*file)->Read((*file)->number(i), &payload).ok() || !header.Parse(payload)) continue;
    Require(header.end <= payload.size());
  }
}

void FuzzVerificationSet(absl::string_view bytes) {
  const auto set = worker::VerificationSet::Parse("fuzz.bin", std::string(bytes));
  if (!set.ok()) return;
  Require((*set)->pairs() == static_cast<int64_t>((*set)->same().size()));
  for (int64_t i = 0; i < 2 * (*set)->pairs(); ++i) Require((*set)->image(i).size() <= 2 * bytes.size());
}

void FuzzTorchFile(absl::string_view bytes) {
  const MemoryFile on_disk(bytes);
  const auto file = TorchFile::Open(on_disk.path());
  if (file.ok()) ReadTensors(**file, (*file)->root(), 4);
}

void FuzzConfig(absl::string_view bytes) {
  const auto config = ParseRunConfig(std::string(bytes), "/run.yaml", {});
  if (!config.ok()) return;
  const std::string yaml = ToYaml(*config);
  const auto again = ParseRunConfig(yaml, "/run.yaml", {});
  Require(again.ok() && ToYaml(*again) == yaml);
}

void FuzzImportConfig(absl::string_view bytes) {
  const auto module = cli::ReadPython(std::string(bytes), "config.py");
  if (!module.ok()) return;
  const cli::PythonValue* const config = module->names.Find("config");
  if (config == nullptr || config->dict() == nullptr) return;
  const std::string yaml =
      cli::ConvertConfig(*config->dict(), {.config = "config.py", .base = "", .gpus = 0}, module->notes).yaml;
  // Whatever the values are, they cannot break out of their places in the YAML.
  const std::string error(ParseRunConfig(yaml, "/run.yaml", {}).status().message());
  Require(!absl::StrContains(error, "malformed") && !absl::StrContains(error, "unknown key"));
}

}  // namespace arcshard
