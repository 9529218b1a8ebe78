#include "common/rpc/security/certified_role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace arcshard {
namespace {

using testing::HasSubstr;

TEST(CertifiedRoleTest, EachRoleIsFoundByItsUri) {
  for (const CertifiedRole role : kAllCertifiedRoles) {
    const absl::StatusOr<CertifiedRole> found = RoleOfUris({"https://example.com/", UriOf(role)});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, role);
  }
  EXPECT_EQ(UriOf(CertifiedRole::kShard), "urn:arcshard:role:shard");
}

void ExpectRefused(const std::vector<std::string>& uris, const std::string& reason) {
  const absl::Status status = RoleOfUris(uris).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
}

TEST(CertifiedRoleTest, NoRoleAnUnknownOneAndSeveralAreRefused) {
  ExpectRefused({}, "names no role");
  ExpectRefused({"https://example.com/urn:arcshard:role:shard"}, "names no role");
  ExpectRefused({"urn:arcshard:role:"}, "does not have");
  ExpectRefused({"urn:arcshard:role:shard2"}, "urn:arcshard:role:shard2");
  ExpectRefused({UriOf(CertifiedRole::kShard), UriOf(CertifiedRole::kWorker)}, "several roles");
}

}  // namespace
}  // namespace arcshard
