#include <algorithm>
#include <bit>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/text/printable_text.h"
#include "worker/data/tools/survey.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kNamedClasses = 10;

std::string Count(int64_t count, absl::string_view one, absl::string_view many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

std::string Size(std::pair<int, int> size) { return absl::StrCat(size.first, " × ", size.second); }

// "96 to 128 (median 112)"
std::string Spread(const std::map<int, int64_t>& lengths, int64_t images) {
  int64_t before = 0;
  auto median = lengths.begin();
  while ((before += median->second) * 2 < images) ++median;
  return absl::StrCat(lengths.begin()->first, " to ", lengths.rbegin()->first, " (median ", median->first, ")");
}

std::string SizeLine(const Survey& survey) {
  const std::pair<int, int> frequent = MostFrequentSize(survey);
  if (survey.sizes.size() == 1) return absl::StrCat("size: ", Size(frequent), " pixels, all\n");
  std::map<int, int64_t> widths, heights;
  for (const auto& [size, count] : survey.sizes) {
    widths[size.first] += count;
    heights[size.second] += count;
  }
  return absl::StrCat("size: ", Size(frequent), " pixels for ", survey.sizes.at(frequent), " of ", survey.images,
                      "; widths ", Spread(widths, survey.images), ", heights ", Spread(heights, survey.images), "\n");
}

// Images per class: minimum, median, maximum, and a histogram by powers of two.
std::string Histogram(const Survey& survey) {
  std::vector<int64_t> sorted;  // of the classes that have images
  for (const ClassCount& of_class : survey.of_class) sorted.push_back(of_class.images);
  std::sort(sorted.begin(), sorted.end());
  const int64_t empty = survey.classes - static_cast<int64_t>(sorted.size());
  const auto at = [&](int64_t place) { return place < empty ? 0 : sorted[static_cast<size_t>(place - empty)]; };
  std::string text = absl::StrCat("images per class: ", at(0), " at least, median ", at((survey.classes - 1) / 2), ", ",
                                  at(survey.classes - 1), " at most\n");
  std::vector<int64_t> bins(65);  // bin 0: no images; bin b: from 2^(b-1) on
  bins[0] = empty;
  for (const int64_t images : sorted) ++bins[std::bit_width(static_cast<uint64_t>(images))];
  for (size_t b = 0; b < bins.size(); ++b) {
    if (bins[b] == 0) continue;
    const int64_t low = b == 0 ? 0 : int64_t{1} << (b - 1), high = std::max<int64_t>(2 * low - 1, low);
    const std::string range = low == high ? absl::StrCat(low) : absl::StrCat(low, " to ", high);
    absl::StrAppend(&text, absl::StrFormat("  %14s: %s\n", range, Count(bins[b], "class", "classes")));
  }
  return text;
}

std::string EmptyClasses(const Survey& survey) {
  const int64_t empty = survey.classes - static_cast<int64_t>(survey.of_class.size());
  if (empty == 0) return "";
  std::string text;
  size_t next = 0;  // in of_class
  int64_t named = 0;
  for (int64_t label = 0; named < std::min(empty, kNamedClasses); ++label) {
    if (next < survey.of_class.size() && survey.of_class[next].label == label) {
      ++next;
    } else {
      absl::StrAppend(&text, named++ == 0 ? "" : ", ", label);
    }
  }
  return absl::StrCat("without images: ", Count(empty, "class", "classes"), " (", text,
                      empty > kNamedClasses ? ", ..." : "", ")\n");
}

// What is no damage, but may surprise.
std::string Oddities(const Survey& survey) {
  std::string text;
  if (survey.without_end > 0) {
    absl::StrAppend(&text, "without an end marker: ", Count(survey.without_end, "image", "images"),
                    "; all of their pixels are there\n");
  }
  if (survey.turned > 0) {
    absl::StrAppend(&text, "turned by EXIF: ", Count(survey.turned, "image", "images"),
                    "; their orientation is ignored, and the pixels are used as they are stored\n");
  }
  return text;
}

}  // namespace

std::string SurveyText(const Survey& survey, int64_t damaged_lines) {
  const int64_t damaged = static_cast<int64_t>(survey.damaged.size());
  std::string text = absl::StrFormat("images: %d, %.1f MiB\n", survey.images, survey.bytes / 1048576.0);
  if (!survey.sizes.empty()) absl::StrAppend(&text, SizeLine(survey));
  if (survey.classes > 0) {
    absl::StrAppend(&text, "classes: ", survey.classes, "\n", Histogram(survey), EmptyClasses(survey));
  }
  absl::StrAppend(&text, Oddities(survey));
  if (damaged == 0) return absl::StrCat(text, "damaged: none\n");
  absl::StrAppend(&text, "damaged: ", Count(damaged, "image", "images"), "\n");
  for (int64_t i = 0; i < std::min(damaged, damaged_lines); ++i) {
    absl::StrAppend(&text, "  ", PrintableLine(survey.damaged[i].status.message()), "\n");
  }
  if (damaged > damaged_lines) absl::StrAppend(&text, "  ... and ", damaged - damaged_lines, " more\n");
  return text;
}

}  // namespace arcshard::worker
