#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "worker/data/images/image.h"
#include "worker/data/images/image_encode.h"

namespace arcshard::worker {

// A folder for one test, removed behind it.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(absl::string_view name) const;
  // Writes a file, with the folders above it, and returns its path.
  std::string Write(absl::string_view name, absl::string_view bytes) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Makes train.rec and train.idx in memory.
class TestRecords {
 public:
  void Add(int64_t number, absl::string_view payload);
  // A whole part, as told.
  void AddPart(uint32_t flag, absl::string_view payload);
  void AddIndexLine(int64_t number, int64_t offset);
  // Writes train.rec, train.idx and property.
  void WriteTo(const TestFolder& folder, int64_t classes) const;

  std::string rec;
  std::string idx;
};

// MXNet's IRHeader with its label inside it (`labels` of one value) or behind it.
std::string ImageRecord(float label, absl::string_view encoded);
std::string RecordWithLabels(const std::vector<float>& labels, absl::string_view encoded);

// Colours of a fixed pattern that differs from pixel to pixel; `shade` moves it.
Image PatternImage(int width, int height, int shade);

struct PngKind {
  int color_type = 2;  // PNG_COLOR_TYPE_*
  int bit_depth = 8;
  bool interlaced = false;
};
// `rows` as PNG has them: color_type's samples, most significant bit and byte first.
std::string EncodePng(int width, int height, const PngKind& kind, const std::vector<std::string>& rows);

struct JpegKind {
  bool grey = false;
  bool progressive = false;
  bool cmyk = false;
};
std::string EncodeJpeg(const Image& image, const JpegKind& kind);

}  // namespace arcshard::worker
