#include "cli/train/announcement.h"

#include <unistd.h>

#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

class AnnouncementTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto end = announcement_.Open();
    ASSERT_TRUE(end.ok()) << end.status();
    coordinator_ = *std::move(end);
  }
  void Say(const std::string& text) {
    ASSERT_EQ(write(coordinator_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    announcement_.Read();
  }

  Announcement announcement_;
  FileDescriptor coordinator_;
};

TEST_F(AnnouncementTest, TheAddressIsKnownOnceItsLineIsComplete) {
  announcement_.Read();
  EXPECT_EQ(announcement_.address(), "");
  Say("listening 127.0.0.1:70");
  EXPECT_EQ(announcement_.address(), "");
  Say("00\n");
  EXPECT_EQ(announcement_.address(), "127.0.0.1:7000");
  EXPECT_EQ(announcement_.failure(), std::nullopt);
}

TEST_F(AnnouncementTest, AFailureSaysItsCauseAndItsProcess) {
  Say("listening 127.0.0.1:7000\nfailed checkpoint_unreadable 12\n");
  EXPECT_EQ(announcement_.failure(), (FailureDetails{FailureCause::kCheckpointUnreadable, 12}));
}

TEST_F(AnnouncementTest, ItIsOverWhenTheCoordinatorHasClosedItsEnd) {
  EXPECT_GE(announcement_.fd(), 0);
  coordinator_ = FileDescriptor();
  announcement_.Read();
  EXPECT_EQ(announcement_.fd(), -1);
  EXPECT_EQ(announcement_.address(), "");
}

TEST_F(AnnouncementTest, AnAddressIsAwaitedUntilItIsKnownOrCannotCome) {
  FakeClock clock;
  const std::string text = "listening 127.0.0.1:7000\n";
  ASSERT_EQ(write(coordinator_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_TRUE(announcement_.AwaitAddress(clock, absl::Minutes(1)));
  EXPECT_EQ(announcement_.address(), "127.0.0.1:7000");
  coordinator_ = *announcement_.Open();
  coordinator_ = FileDescriptor();
  EXPECT_FALSE(announcement_.AwaitAddress(clock, absl::Minutes(1)));
}

TEST_F(AnnouncementTest, AnotherLifeOfTheCoordinatorSpeaksForItself) {
  Say("listening 127.0.0.1:7000\nfailed checkpoint_unreadable 12\nlist");
  auto end = announcement_.Open();
  ASSERT_TRUE(end.ok()) << end.status();
  coordinator_ = *std::move(end);
  EXPECT_EQ(announcement_.address(), "");
  EXPECT_EQ(announcement_.failure(), std::nullopt);
  Say("listening 127.0.0.1:7001\n");
  EXPECT_EQ(announcement_.address(), "127.0.0.1:7001");
}

}  // namespace
}  // namespace arcshard::cli
