#include "common/net/descriptors.h"

#include <sys/resource.h>

#include <cerrno>
#include <thread>

#include "common/base/testing/refused_call.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

// Sets this process's limit of descriptors as long as it exists.
class Limit {
 public:
  Limit(rlim_t soft, rlim_t hard) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit wanted = {soft, hard};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &wanted), 0);
  }
  explicit Limit(rlim_t soft) : Limit(soft, HardLimit()) {}
  ~Limit() { setrlimit(RLIMIT_NOFILE, &before_); }

  static rlim_t HardLimit() {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
  }
  static rlim_t SoftLimit() {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
  }

 private:
  rlimit before_ = {};
};

TEST(DescriptorsTest, TheLimitIsRaisedToWhatTheSystemAllows) {
  const Limit low(256);
  RaiseDescriptorLimit();
  EXPECT_EQ(Limit::SoftLimit(), std::min(Limit::HardLimit(), rlim_t{1} << 20));
}

TEST(DescriptorsTest, AFourthIsKeptForFilesButNotMoreThanTheyNeed) {
  {
    const Limit small(512);
    EXPECT_EQ(FirstReservedDescriptor(), 384);
  }
  {
    const Limit usual(1024);
    EXPECT_EQ(FirstReservedDescriptor(), 768);
  }
  {
    const Limit tiny(40);
    EXPECT_EQ(FirstReservedDescriptor(), 8);
  }
}

TEST(DescriptorsTest, WhereTheLimitCannotBeAskedForConnectionsAreTaken) {
  bool refused = false;
  int first = 0;
  std::thread([&] {
    refused = RefuseCall(SYS_prlimit64, ENOSYS);
    first = FirstReservedDescriptor();
  }).join();
  if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
  EXPECT_EQ(first, 1 << 20);
}

}  // namespace
}  // namespace arcshard
