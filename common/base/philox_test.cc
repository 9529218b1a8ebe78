#include "common/base/philox.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;

// The known answers of Random123's kat_vectors for philox4x32 with 10 rounds.
TEST(PhiloxTest, GivesTheKnownAnswersOfRandom123) {
  EXPECT_THAT(Philox(0, 0, 0), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(Philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(PhiloxTest, UniformStaysBelowOne) {
  EXPECT_EQ(UniformFromWord(0), 0.0f);
  EXPECT_LT(UniformFromWord(0xffffffff), 1.0f);
}

}  // namespace
}  // namespace arcshard
