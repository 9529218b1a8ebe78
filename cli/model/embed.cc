#include "cli/model/embed.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/display/console.h"
#include "cli/model/embed_options.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/output_file.h"
#include "common/text/printable_text.h"
#include "worker/backbone/backbone_file.h"
#include "worker/inference/embeddings_writer.h"
#include "worker/inference/image_sources.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kBetweenLines = absl::Seconds(5);

// embedding <- embedding + flip (unless empty), then scaled to norm 1 if options.normalize; 0 stays 0.
void Combine(const EmbedCommandOptions& options, absl::Span<const float> flip, absl::Span<float> embedding) {
  for (size_t d = 0; d < flip.size(); ++d) embedding[d] += flip[d];
  if (!options.normalize) return;
  double squared = 0;
  for (const float x : embedding) squared += static_cast<double>(x) * x;
  if (squared == 0) return;
  const double norm = std::sqrt(squared);
  for (float& x : embedding) x = static_cast<float>(x / norm);
}

class EmbedRun {
 public:
  EmbedRun(const EmbedCommandOptions& options, worker::Backbone* backbone, const worker::NamedImages& images,
           worker::EmbeddingsWriter* writer)
      : options_(options),
        backbone_(backbone),
        images_(images),
        writer_(writer),
        dim_(backbone->options().embedding_size),
        embed_(ToEmbedOptions(options.forward)) {}

  absl::Status Run() {
    const int64_t all = images_.images(), chunk = kBatchesOfAThread * embed_.threads * embed_.batch_size;
    const SystemClock clock;
    MonotonicTime next_line = clock.Now() + kBetweenLines;
    for (int64_t begin = 0; begin < all; begin += chunk) {
      RETURN_IF_ERROR(Chunk(begin, std::min(begin + chunk, all)));
      if (clock.Now() < next_line) continue;
      next_line = clock.Now() + kBetweenLines;
      PrintNote(absl::StrFormat("%d of %d images", std::min(begin + chunk, all), all));
    }
    return absl::OkStatus();
  }

  int64_t skipped() const { return images_.images() - writer_->rows(); }

 private:
  static constexpr int64_t kBatchesOfAThread = 8;  // between two writes

  absl::Status Chunk(int64_t begin, int64_t end) {
    const size_t count = static_cast<size_t>(end - begin), dim = static_cast<size_t>(dim_);
    originals_.resize(count * dim);
    flips_.resize(options_.flip ? count * dim : 0);
    labels_.resize(count);
    damaged_.assign(options_.skip_damaged ? count : 0, absl::OkStatus());
    RETURN_IF_ERROR(worker::EmbedRange(
        backbone_, images_, embed_, begin, end,
        {absl::MakeSpan(originals_), absl::MakeSpan(flips_), absl::MakeSpan(labels_), absl::MakeSpan(damaged_)}));
    for (size_t i = 0; i < count; ++i) {
      if (options_.skip_damaged && !damaged_[i].ok()) {
        PrintNote(absl::StrFormat("left out: %s", damaged_[i].message()));
        continue;
      }
      const absl::Span<float> embedding = absl::MakeSpan(originals_).subspan(i * dim, dim);
      Combine(options_, absl::MakeConstSpan(flips_).subspan(options_.flip ? i * dim : 0, options_.flip ? dim : 0),
              embedding);
      RETURN_IF_ERROR(writer_->Append(embedding, labels_[i], images_.NameOf(begin + static_cast<int64_t>(i))));
    }
    return absl::OkStatus();
  }

  const EmbedCommandOptions& options_;
  worker::Backbone* const backbone_;
  const worker::NamedImages& images_;
  worker::EmbeddingsWriter* const writer_;
  const int64_t dim_;
  const worker::EmbedOptions embed_;
  std::vector<float> originals_, flips_;
  std::vector<int64_t> labels_;
  std::vector<absl::Status> damaged_;
};

}  // namespace

absl::Status EmbedImages(const EmbedCommandOptions& options) {
  RETURN_IF_ERROR(CheckOutputFile(options.output, options.force, {options.backbone, options.input}));
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::Backbone> backbone, worker::OpenBackbone(options.backbone));
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::NamedImages> images, worker::OpenImages(options.input));
  if (options.force && images->ReadsFile(options.output)) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.output, " is one of the images or their list: it is not replaced"));
  }
  for (const std::string& warning : images->Warnings()) PrintNote(absl::StrCat("warning: ", warning));
  const int64_t dim = backbone->options().embedding_size;
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::EmbeddingsWriter> writer,
                   worker::EmbeddingsWriter::Create(options.output, dim));
  EmbedRun run(options, backbone.get(), *images, writer.get());
  RETURN_IF_ERROR(run.Run());
  if (writer->rows() == 0) {
    return absl::DataLossError(
        absl::StrCat(images->path(), ": none of its ", images->images(), " images can be decoded"));
  }
  // The metadata are UTF-8, which a path need not be.
  RETURN_IF_ERROR(writer->Finish({{"backbone", PrintableLine(options.backbone)},
                                  {"input", PrintableLine(images->path())},
                                  {"flip", options.flip ? "true" : "false"},
                                  {"normalized", options.normalize ? "true" : "false"},
                                  {"left_out", absl::StrCat(run.skipped())}}));
  const std::string left_out =
      run.skipped() > 0 ? absl::StrCat("; ", run.skipped(), " damaged images left out") : std::string();
  return PrintText(absl::StrFormat("%s: %d embeddings of %d dimensions%s\n", PrintableLine(options.output),
                                   writer->rows(), dim, left_out));
}

}  // namespace arcshard::cli
