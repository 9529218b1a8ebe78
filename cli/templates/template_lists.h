#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/verification/templates.h"

// The lists of an IJB-style evaluation. Each is a text file with a line for an image, a pair or a template; fields are
// separated by tabs, else commas, else spaces. A first line that begins with TEMPLATE_ID, and empty lines, are left
// out. Errors are InvalidArgument and name the file and the line, or those of ReadFile.
namespace arcshard::cli {

// Numbers names in the order in which they appear.
class Numbering {
 public:
  int32_t NumberOf(absl::string_view name);    // gives a new name the next number
  int32_t Find(absl::string_view name) const;  // -1: there is none
  int64_t size() const { return static_cast<int64_t>(numbers_.size()); }

 private:
  absl::flat_hash_map<std::string, int32_t> numbers_;
};

// The names of the images whose embeddings there are, each with its row.
class ImageNames {
 public:
  // InvalidArgument: `json` is not a list of `rows` texts.
  static absl::StatusOr<ImageNames> Parse(absl::string_view json, int64_t rows);

  // The row of an image: that of its whole name, else that of the only one whose name without folders is the same. -1:
  // there is none, or more than one.
  int64_t RowOf(absl::string_view name) const;

 private:
  absl::flat_hash_map<std::string, int64_t> rows_, rows_by_file_;  // the latter: -1 for several
};

struct FaceList {
  std::vector<worker::TemplateFace> faces;
  std::vector<std::string> missing;  // images without an embedding
};

// A line has an image's name, its template and its medium.
absl::StatusOr<FaceList> ReadFaces(const std::string& path, const ImageNames& images, Numbering* templates);

// Sets the weights of faces: a line has an image's name, and its last field is the score. InvalidArgument also: an
// image of `faces` has no score.
absl::Status ReadWeights(const std::string& path, const ImageNames& images, std::vector<worker::TemplateFace>* faces);

// A line has two templates, and 1 if they are of the same subject, otherwise 0. NotFound: there is no such template.
absl::StatusOr<std::vector<worker::TemplatePair>> ReadPairs(const std::string& path, const Numbering& templates);

// A line has a template and its subject; a template may be repeated.
absl::StatusOr<std::vector<worker::TemplateOfSubject>> ReadSubjects(const std::string& path, const Numbering& templates,
                                                                    Numbering* subjects);

}  // namespace arcshard::cli
