#include "worker/data/testing/test_folder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace arcshard::worker {

TestFolder::TestFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "arcshard_data_XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TestFolder::~TestFolder() { std::filesystem::remove_all(path_); }

std::string TestFolder::Path(absl::string_view name) const { return absl::StrCat(path_, "/", name); }

std::string TestFolder::Write(absl::string_view name, absl::string_view bytes) const {
  const std::string path = Path(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

}  // namespace arcshard::worker
