#include "launcher/input_check.h"

#include <fstream>

#include "launcher/launcher_test_kit.h"

namespace arcshard::launcher {
namespace {

class InputCheckTest : public ScriptTest {
 protected:
  InputCheckTest() {
    config_.data.train = Path("data");
    std::filesystem::create_directories(config_.data.train);
    for (const char* name : {"data/train.rec", "data/train.idx", "data/property", "lfw.bin"}) std::ofstream{Path(name)};
    config_.verification.sets = {Path("lfw.bin")};
  }

  RunConfig config_;
};

TEST_F(InputCheckTest, WhatIsThereIsFine) { EXPECT_EQ(CheckInputs(config_), absl::OkStatus()); }

TEST_F(InputCheckTest, AllThatIsMissingIsNamedWithItsKey) {
  std::filesystem::remove(Path("data/train.idx"));
  config_.verification.sets.push_back(Path("cfp.bin"));
  config_.head.init = Path("data");
  const absl::Status status = CheckInputs(config_);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "data.train: " + Path("data/train.idx") + " does not exist; head.init: " + Path("data") +
                " is not a file; verification.sets: " + Path("cfp.bin") + " does not exist");
}

}  // namespace
}  // namespace arcshard::launcher
