#include "cli/certs/certificates_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/certs/issue_certificate.h"
#include "common/io/file.h"
#include "common/rpc/security/certificate.h"

namespace arcshard::cli {
namespace {

using testing::HasSubstr;

class CertificatesFolderTest : public testing::Test {
 protected:
  CertificatesFolderTest() { std::filesystem::remove_all(folder_); }
  ~CertificatesFolderTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  TlsFiles Files(CertifiedRole role) const {
    const std::string own = Path(std::string(NameOf(role)));
    return {absl::StrCat(own, "/ca.crt"), absl::StrCat(own, "/tls.crt"), absl::StrCat(own, "/tls.key")};
  }
  CertificatesOptions Options(int days = 30) const { return {.folder = folder_, .lifetime = absl::Hours(24 * days)}; }
  void Init() const {
    const absl::Status status = InitCertificates(Options(), now_);
    ASSERT_TRUE(status.ok()) << status;
  }

  const std::string folder_ =
      absl::StrCat(testing::TempDir(), "/certificates-", testing::UnitTest::GetInstance()->current_test_info()->name());
  const absl::Time now_ = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
};

TEST_F(CertificatesFolderTest, InitMakesAValidPairForEachRole) {
  Init();
  EXPECT_TRUE(HasCertificates(folder_));
  for (const CertifiedRole role : kAllCertifiedRoles) {
    const absl::StatusOr<Certificate> certificate = CheckTlsFiles(Files(role), now_);
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    EXPECT_EQ(certificate->role, role);
    EXPECT_EQ(certificate->valid_until, now_ + absl::Hours(24 * 30));
    EXPECT_TRUE(CheckTlsFiles(Files(role), now_ + absl::Hours(24 * 29)).ok());
  }
}

TEST_F(CertificatesFolderTest, KeysAreTheirOwnersAlone) {
  Init();
  for (const char* const key : {"ca.key", "coordinator/tls.key", "shard/tls.key", "worker/tls.key", "client/tls.key"}) {
    struct stat info;
    ASSERT_EQ(stat(Path(key).c_str(), &info), 0) << key;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << key;
  }
}

TEST_F(CertificatesFolderTest, OthersMayNotChangeTheFoldersWhateverTheUmaskIs) {
  const mode_t before = umask(0);
  Init();
  umask(before);
  for (const char* const folder : {"", "coordinator", "shard", "worker", "client"}) {
    struct stat info;
    ASSERT_EQ(stat(Path(folder).c_str(), &info), 0) << folder;
    EXPECT_EQ(info.st_mode & 0777, 0755u) << folder;
  }
}

TEST_F(CertificatesFolderTest, AKeyThatOthersMayReadOrChangeIsWarnedOf) {
  Init();
  const std::string key = Path("shard/tls.key");
  for (const mode_t mode : {0600, 0400, 0440, 0640}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    EXPECT_EQ(WarningOfOpenKey(key), "");
  }
  for (const mode_t mode : {0666, 0644, 0660, 0602}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    EXPECT_THAT(WarningOfOpenKey(key),
                HasSubstr(absl::StrCat(key, ": other users may read or change this private key")));
  }
}

TEST_F(CertificatesFolderTest, InitOverwritesNothing) {
  ASSERT_TRUE(CreateFolders(Path("worker")).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("worker/tls.key"), "precious").ok());
  const absl::Status status = InitCertificates(Options(), now_);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("worker/tls.key")));
  EXPECT_EQ(*ReadFile(Path("worker/tls.key")), "precious");
  EXPECT_FALSE(std::filesystem::exists(Path("ca.crt")));
  EXPECT_FALSE(HasCertificates(folder_));
}

TEST_F(CertificatesFolderTest, InitFillsFoldersThatAreThereOrLeavesThemAsTheyWere) {
  ASSERT_TRUE(CreateFolders(Path("worker/tls.crt.tmp")).ok());  // like a volume that is mounted there
  Init();
  EXPECT_TRUE(HasCertificates(folder_));

  std::filesystem::remove_all(folder_);
  ASSERT_TRUE(CreateFolders(folder_).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("worker"), "a file where a folder is to be").ok());
  EXPECT_FALSE(InitCertificates(Options(), now_).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("ca.key")));
  EXPECT_FALSE(std::filesystem::exists(Path("coordinator/tls.key")));
}

TEST_F(CertificatesFolderTest, RenewedCertificatesFitTheirKeysAndLiveLonger) {
  Init();
  const std::string key = *ReadFile(Path("shard/tls.key"));
  const std::string before = *ReadFile(Path("shard/tls.crt"));
  const absl::Time later = now_ + absl::Hours(24 * 20);
  ASSERT_TRUE(RenewCertificates(Options(), later).ok());
  EXPECT_EQ(*ReadFile(Path("shard/tls.key")), key);
  EXPECT_NE(*ReadFile(Path("shard/tls.crt")), before);
  for (const CertifiedRole role : kAllCertifiedRoles) {
    const absl::StatusOr<Certificate> certificate = CheckTlsFiles(Files(role), now_ + absl::Hours(24 * 49));
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    EXPECT_EQ(certificate->role, role);
  }
}

void ExpectRefused(const TlsFiles& files, absl::Time now, absl::StatusCode code, const std::string& reason) {
  const absl::Status status = CheckTlsFiles(files, now).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
}

TEST_F(CertificatesFolderTest, WhatAPeerWouldRefuseIsRefusedBeforehandWithTheFilesName) {
  Init();
  const TlsFiles shard = Files(CertifiedRole::kShard);
  const TlsFiles worker = Files(CertifiedRole::kWorker);
  ExpectRefused(shard, now_ + absl::Hours(24 * 31), absl::StatusCode::kFailedPrecondition, "certificate has expired");
  ExpectRefused(shard, now_ - absl::Hours(2), absl::StatusCode::kFailedPrecondition, "not yet valid");
  ExpectRefused({shard.ca, shard.certificate, worker.key}, now_, absl::StatusCode::kFailedPrecondition,
                absl::StrCat(worker.key, ": is not the private key of"));
  ExpectRefused({shard.ca, shard.certificate, Path("none.key")}, now_, absl::StatusCode::kNotFound, "none.key");
  ExpectRefused({shard.ca, shard.key, shard.key}, now_, absl::StatusCode::kInvalidArgument, "has no certificate");
  ExpectRefused({shard.ca, shard.certificate, shard.ca}, now_, absl::StatusCode::kInvalidArgument,
                "has no private key");

  const absl::StatusOr<Identity> other = MakeAuthority({now_ - absl::Hours(1), now_ + absl::Hours(1)});
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(WriteFileAtomically(Path("other.crt"), other->certificate).ok());
  ExpectRefused({Path("other.crt"), shard.certificate, shard.key}, now_, absl::StatusCode::kFailedPrecondition,
                "unable to get local issuer certificate");
  ExpectRefused({shard.ca, shard.ca, Path("ca.key")}, now_, absl::StatusCode::kUnauthenticated, "names no role");
}

}  // namespace
}  // namespace arcshard::cli
