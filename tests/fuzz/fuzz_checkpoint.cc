// Fuzz targets for safetensors files and manifests.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/crc32c.h"
#include "common/checkpoint/manifest.h"
#include "common/io/safetensors.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/fuzz/memory_file.h"

namespace arcshard {
namespace {

void ReadAll(const SafetensorsFile& file) {
  for (const auto& [name, entry] : file.entries()) {
    if (entry.dtype == TensorDtype::kF32) {
      Require(file.Read<float>(name).ok());
    } else if (entry.dtype == TensorDtype::kI64) {
      Require(file.Read<int64_t>(name).ok());
    } else {
      Require(!file.Read<float>(name).ok());
    }
    if (entry.shape.size() != 2 || entry.dtype != TensorDtype::kF32 || entry.bytes == 0) continue;
    std::vector<float> row(static_cast<size_t>(entry.shape[1]));
    Require(file.ReadRows<float>(name, entry.shape[0] - 1, entry.shape[0], absl::MakeSpan(row)).ok());
    Require(!file.ReadRows<float>(name, entry.shape[0], entry.shape[0] + 1, absl::MakeSpan(row)).ok());
  }
}

}  // namespace

void FuzzSafetensors(absl::string_view bytes) {
  const auto file = SafetensorsFile::Open(std::make_shared<MemorySource>(bytes));
  if (!file.ok()) return;
  ReadAll(*file);
  const MemoryFile on_disk(bytes);
  const auto rows = ClassRows::OfFile(on_disk.path());
  if (!rows.ok() || rows->num_classes() == 0) return;
  std::vector<float> last(static_cast<size_t>(rows->dim()));
  Require(rows->Read(RowKind::kCenters, {rows->num_classes() - 1, rows->num_classes()}, absl::MakeSpan(last)).ok());
}

void FuzzManifest(absl::string_view bytes) {
  Require(!ParseManifest(bytes, "manifest").ok() || *FormatManifest(*ParseManifest(bytes, "manifest")) == bytes);
  // A fuzzer can't guess a checksum, so the bytes before the last field are also tried with the right one.
  const size_t end = bytes.rfind("  \"crc32c\": \"");
  const absl::string_view body = end == absl::string_view::npos ? bytes : bytes.substr(0, end);
  const uint32_t crc = Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(body.data()), body.size()));
  const std::string fitting = absl::StrCat(body, "  \"crc32c\": \"", absl::StrFormat("%08x", crc), "\"\n}\n");
  const auto manifest = ParseManifest(fitting, "manifest");
  Require(!manifest.ok() || *FormatManifest(*manifest) == fitting);
}

}  // namespace arcshard
