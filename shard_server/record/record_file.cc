#include "shard_server/record/record_file.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/crc32c.h"
#include "common/io/safetensors.h"
#include "common/protocol/lineage.h"
#include "shard_server/state/log/record_applier.h"

namespace arcshard::shard {
namespace {

constexpr absl::string_view kPrefix = "step-", kSuffix = ".safetensors", kCommit = "commit", kSkip = "skip";

// A safetensors file whose last tensor is the CRC of everything before it.
class ChecksummedWriter {
 public:
  static absl::StatusOr<ChecksummedWriter> Create(FileSystem* files, const std::string& path,
                                                  std::vector<TensorSpec> tensors,
                                                  const SafetensorsMetadata& metadata) {
    tensors.push_back({"crc32c", TensorDtype::kU32, {1}});
    ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(path, std::move(tensors), metadata, files));
    return ChecksummedWriter(std::move(writer));
  }

  template <typename T>
  absl::Status Append(absl::string_view name, absl::Span<const T> values) {
    crc_ =
        Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T)), crc_);
    return writer_.Append(name, values);
  }

  absl::Status Finish() {
    RETURN_IF_ERROR(writer_.Append("crc32c", absl::MakeConstSpan(&crc_, 1)));
    return writer_.Finish();
  }

 private:
  explicit ChecksummedWriter(SafetensorsWriter writer) : writer_(std::move(writer)) {
    const absl::string_view header = writer_.header();
    crc_ = Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(header.data()), header.size()));
  }

  SafetensorsWriter writer_;
  uint32_t crc_ = 0;
};

// A file that was read as a whole.
class Bytes final : public ByteSource {
 public:
  static absl::StatusOr<std::shared_ptr<const Bytes>> Read(FileSystem* files, const std::string& path) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> file, files->Open(path));
    auto bytes = std::make_shared<Bytes>();
    bytes->path_ = path;
    bytes->bytes_.resize(file->size());
    RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(bytes->bytes_)));
    return bytes;
  }

  const std::string& path() const override { return path_; }
  uint64_t size() const override { return bytes_.size(); }
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    if (offset > size() || out.size() > size() - offset) {
      return absl::DataLossError(absl::StrCat(path_, ": has ", size(), " bytes"));
    }
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return absl::OkStatus();
  }

  // Whether the last four bytes are the CRC of the others.
  bool intact() const {
    uint32_t crc = 0;
    if (size() < sizeof(crc)) return false;
    const absl::Span<const std::byte> all(bytes_);
    std::memcpy(&crc, all.last(sizeof(crc)).data(), sizeof(crc));
    return crc == Crc32c(all.first(size() - sizeof(crc)));
  }

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
};

std::string HexOf(uint64_t value) { return absl::StrFormat("%016x", value); }

SafetensorsMetadata MetadataOf(const RecordedStep& step) {
  const ReplayRecord& record = *step.record;
  return {{"format", "arcshard step 1"},
          {"view", absl::StrCat(record.view.incarnation, ".", record.view.counter)},
          {"step", absl::StrCat(record.plan.step)},
          {"epoch", absl::StrCat(record.plan.epoch)},
          {"first_sample", absl::StrCat(record.plan.first_sample)},
          {"outcome", std::string(*record.outcome == Outcome::kCommit ? kCommit : kSkip)},
          {"lr", absl::StrFormat("%.17g", record.lr)},
          {"lineage_before", HexOf(step.before.lineage)},
          {"lineage", HexOf(record.after.lineage)},
          {"configuration", HexOf(step.configuration)}};
}

// Reads the parts of a record and notes the first thing that is wrong.
class Reader {
 public:
  explicit Reader(const SafetensorsFile* file) : file_(file) {}

  template <typename T>
  std::vector<T> Values(absl::string_view name, size_t size) {
    std::vector<T> values = Values<T>(name);
    if (values.size() != size) Fail(name, " has ", values.size(), " values, not ", size);
    return values;
  }
  template <typename T>
  std::vector<T> Values(absl::string_view name) {
    absl::StatusOr<std::vector<T>> values = file_->Read<T>(name);
    if (values.ok()) return *std::move(values);
    Fail(name, ": ", values.status().message());
    return {};
  }

  std::string Text(const std::string& key) {
    const auto found = file_->metadata().find(key);
    if (found != file_->metadata().end()) return found->second;
    Fail("the metadata lack ", key);
    return "";
  }
  uint64_t Number(const std::string& key) {
    uint64_t number = 0;
    if (const std::string text = Text(key); !absl::SimpleAtoi(text, &number)) Fail(key, " is '", text, "'");
    return number;
  }
  uint64_t Hex(const std::string& key) {
    uint64_t number = 0;
    const std::string text = Text(key);
    if (text.size() != 16 || !absl::SimpleHexAtoi(text, &number)) Fail(key, " is '", text, "'");
    return number;
  }
  View ViewOf(const std::string& key) {
    View view;
    const std::string text = Text(key);
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('.', 1));
    if (!absl::SimpleAtoi(parts.first, &view.incarnation) || !absl::SimpleAtoi(parts.second, &view.counter)) {
      Fail(key, " is '", text, "'");
    }
    return view;
  }
  double Rate(const std::string& key) {
    double rate = 0;
    const std::string text = Text(key);
    if (!absl::SimpleAtod(text, &rate) || !std::isfinite(rate) || rate < 0) Fail(key, " is '", text, "'");
    return rate;
  }
  Outcome OutcomeOf(const std::string& key) {
    const std::string text = Text(key);
    if (text != kCommit && text != kSkip) Fail(key, " is '", text, "'");
    return text == kSkip ? Outcome::kSkip : Outcome::kCommit;
  }

  template <typename... What>
  void Fail(const What&... what) {
    if (status_.ok()) status_ = absl::DataLossError(absl::StrCat(file_->path(), ": ", what...));
  }
  const absl::Status& status() const { return status_; }

 private:
  const SafetensorsFile* const file_;
  absl::Status status_;
};

void ReadDecision(Reader* reader, RecordedStep* step, ReplayRecord* record) {
  Decision decision{.view = reader->ViewOf("view"),
                    .step = reader->Number("step"),
                    .outcome = reader->OutcomeOf("outcome"),
                    .lr = reader->Rate("lr"),
                    .next = {},
                    .lineage = reader->Hex("lineage")};
  StepPlan plan{decision.step, reader->Number("epoch"), reader->Number("first_sample"),
                reader->Values<uint32_t>("micro_batch_sizes")};
  record->Reset(decision.view, plan);
  record->outcome = decision.outcome;
  record->lr = decision.lr;
  record->after = decision.after();
  step->before = {decision.step - 1, reader->Hex("lineage_before")};
  step->configuration = reader->Hex("configuration");
  if (const uint64_t lineage = ExtendLineage(step->before.lineage, decision); lineage != decision.lineage) {
    reader->Fail("names the lineage ", HexOf(decision.lineage), ", but its decision leads from ",
                 HexOf(step->before.lineage), " to ", HexOf(lineage));
  }
}

void ReadGroups(Reader* reader, ReplayRecord* record) {
  const std::vector<uint32_t> sizes = reader->Values<uint32_t>("group_sizes");
  const std::vector<uint32_t> members = reader->Values<uint32_t>("group_members");
  const uint64_t total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
  if (total != members.size()) return reader->Fail("group_members has ", members.size(), " values, not ", total);
  auto next = members.begin();
  for (const uint32_t size : sizes) {
    record->groups.emplace_back(next, next + size);
    next += size;
  }
}

// Requires that the plan was read.
void ReadInputs(Reader* reader, int64_t num_classes, ReplayRecord* record) {
  const std::vector<uint32_t>& sizes = record->plan.micro_batch_sizes;
  const size_t samples = std::accumulate(sizes.begin(), sizes.end(), size_t{0});
  const auto workers = reader->Values<uint32_t>("micro_batch_workers", sizes.size());
  const auto labels = reader->Values<int64_t>("labels", samples);
  const auto r = reader->Values<float>("r", samples);
  const auto t = reader->Values<float>("t", samples);
  const auto embedding = reader->Values<float>("embedding");
  if (samples == 0 || embedding.size() % samples != 0)
    reader->Fail("has an embedding of ", embedding.size(), " values");
  if (record->workers.empty()) reader->Fail("has no workers");
  for (const int64_t label : labels) {
    if (label < 0 || label >= num_classes)
      return reader->Fail("has the label ", label, " of ", num_classes, " classes");
  }
  if (!reader->status().ok()) return;
  const size_t dim = embedding.size() / samples;
  size_t first = 0;
  for (size_t i = 0; i < sizes.size(); first += sizes[i++]) {
    MicroBatchRecord& inputs = record->micro_batches[i];
    inputs.worker = workers[i];
    const uint32_t owner = record->workers[WorkerOfMicroBatch(static_cast<uint32_t>(i), record->workers.size())];
    if (inputs.worker != owner) reader->Fail("says that worker ", workers[i], " computed micro-batch ", i);
    const auto cut = [&](const auto& values, size_t width, auto* out) {
      out->assign(values.begin() + static_cast<ptrdiff_t>(first * width),
                  values.begin() + static_cast<ptrdiff_t>((first + sizes[i]) * width));
    };
    cut(labels, 1, &inputs.labels);
    cut(r, 1, &inputs.r);
    cut(t, 1, &inputs.t);
    cut(embedding, dim, &inputs.embedding);
  }
  if (absl::Status checked = CheckReceived(*record, static_cast<int64_t>(dim)); !checked.ok()) {
    reader->Fail(checked.message());
  }
}

// The members of all groups, and the groups' sizes.
std::pair<std::vector<uint32_t>, std::vector<uint32_t>> Flat(const std::vector<std::vector<uint32_t>>& groups) {
  std::pair<std::vector<uint32_t>, std::vector<uint32_t>> flat;
  for (const std::vector<uint32_t>& group : groups) {
    flat.first.insert(flat.first.end(), group.begin(), group.end());
    flat.second.push_back(static_cast<uint32_t>(group.size()));
  }
  return flat;
}

}  // namespace

std::string RecordFolder(absl::string_view run_folder) { return absl::StrCat(run_folder, "/record"); }

std::string RecordName(const StatePoint& after) {
  return absl::StrFormat("%s%08d-%016x%s", kPrefix, after.step, after.lineage, kSuffix);
}

std::optional<StatePoint> PointOfRecord(absl::string_view name) {
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, kPrefix) || !absl::ConsumeSuffix(&rest, kSuffix)) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(rest, absl::MaxSplits('-', 1));
  StatePoint point;
  if (!absl::SimpleAtoi(parts.first, &point.step) || !absl::SimpleHexAtoi(parts.second, &point.lineage)) {
    return std::nullopt;
  }
  return RecordName(point) == name ? std::optional(point) : std::nullopt;
}

absl::Status WriteRecord(FileSystem* files, const std::string& folder, const RecordedStep& step) {
  const ReplayRecord& record = *step.record;
  const std::vector<uint32_t>& sizes = record.plan.micro_batch_sizes;
  const auto& inputs = record.micro_batches;
  const int64_t samples = record.plan.batch_size();
  const int64_t dim = static_cast<int64_t>(inputs[0].embedding.size()) / sizes[0];
  const auto [members, group_sizes] = Flat(record.groups);
  std::vector<uint32_t> owners;
  for (size_t i = 0; i < sizes.size(); ++i) owners.push_back(inputs[i].worker);
  const auto u32 = [](const char* name, const std::vector<uint32_t>& values) {
    return TensorSpec{name, TensorDtype::kU32, {static_cast<int64_t>(values.size())}};
  };
  ASSIGN_OR_RETURN(ChecksummedWriter writer,
                   ChecksummedWriter::Create(files, absl::StrCat(folder, "/", RecordName(record.after)),
                                             {{"labels", TensorDtype::kI64, {samples}},
                                              {"range_ends", TensorDtype::kI64, {std::ssize(step.range_ends)}},
                                              {"embedding", TensorDtype::kF32, {samples, dim}},
                                              {"r", TensorDtype::kF32, {samples}},
                                              {"t", TensorDtype::kF32, {samples}},
                                              u32("micro_batch_sizes", sizes),
                                              u32("micro_batch_workers", owners),
                                              u32("workers", record.workers),
                                              u32("group_sizes", group_sizes),
                                              u32("group_members", members)},
                                             MetadataOf(step)));
  const auto append_all = [&](const char* name, auto MicroBatchRecord::*values) -> absl::Status {
    for (size_t i = 0; i < sizes.size(); ++i) {
      RETURN_IF_ERROR(writer.Append(name, absl::MakeConstSpan(inputs[i].*values)));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(append_all("labels", &MicroBatchRecord::labels));
  RETURN_IF_ERROR(writer.Append("range_ends", absl::MakeConstSpan(step.range_ends)));
  RETURN_IF_ERROR(append_all("embedding", &MicroBatchRecord::embedding));
  RETURN_IF_ERROR(append_all("r", &MicroBatchRecord::r));
  RETURN_IF_ERROR(append_all("t", &MicroBatchRecord::t));
  RETURN_IF_ERROR(writer.Append("micro_batch_sizes", absl::MakeConstSpan(sizes)));
  RETURN_IF_ERROR(writer.Append("micro_batch_workers", absl::MakeConstSpan(owners)));
  RETURN_IF_ERROR(writer.Append("workers", absl::MakeConstSpan(record.workers)));
  RETURN_IF_ERROR(writer.Append("group_sizes", absl::MakeConstSpan(group_sizes)));
  RETURN_IF_ERROR(writer.Append("group_members", absl::MakeConstSpan(members)));
  return writer.Finish();
}

absl::StatusOr<RecordedStep> ReadRecord(FileSystem* files, const std::string& folder, const StatePoint& after) {
  const std::string path = absl::StrCat(folder, "/", RecordName(after));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Bytes> bytes, Bytes::Read(files, path));
  if (!bytes->intact()) {
    return absl::DataLossError(absl::StrCat(path, ": is damaged: its bytes are not those that were written"));
  }
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(bytes));
  Reader reader(&file);
  auto record = std::make_shared<ReplayRecord>();
  RecordedStep step;
  ReadDecision(&reader, &step, record.get());
  if (!(record->after == after)) reader.Fail("is the record of step ", record->plan.step, ", not what its name says");
  step.range_ends = reader.Values<int64_t>("range_ends");
  record->workers = reader.Values<uint32_t>("workers");
  ReadGroups(&reader, record.get());
  ReadInputs(&reader, step.range_ends.empty() ? 0 : step.range_ends.back(), record.get());
  RETURN_IF_ERROR(reader.status());
  step.record = std::move(record);
  return step;
}

}  // namespace arcshard::shard
