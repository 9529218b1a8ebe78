// What happens to a process whose TLS files are replaced badly: it keeps what it has read, says so, and goes on.
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/certs/issue_certificate.h"
#include "common/io/file.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/certificate_reloader.h"
#include "common/rpc/security/meter_tls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/certificates.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TlsReloadTest : public ::testing::Test {
 protected:
  TlsReloadTest() : files_(certificates_.FilesOf(CertifiedRole::kShard)), good_(*ReadTlsFiles(files_)) {
    auto reloader = CertificateReloader::Create(files_, CertifiedRole::kShard, absl::Now());
    EXPECT_TRUE(reloader.ok()) << reloader.status();
    reloader_ = *std::move(reloader);
  }

  void Put(const TlsTexts& texts) {
    Put(files_.ca, texts.ca);
    Put(files_.certificate, texts.certificate);
    Put(files_.key, texts.key);
  }
  static void Put(const std::string& path, const std::string& text) {
    std::filesystem::remove(path);  // a link, perhaps
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
  }
  // The lines that this process logs meanwhile.
  static std::vector<std::string> Logged(const std::function<void()>& action) {
    ::testing::internal::CaptureStderr();
    action();
    return absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
  }
  // What gRPC gets to see.
  TlsTexts Published() const {
    const std::string identity = *ReadFile(reloader_->identity_path());
    const size_t end_of_key = identity.find("-----BEGIN CERTIFICATE");
    return {*ReadFile(reloader_->ca_path()), identity.substr(end_of_key), identity.substr(0, end_of_key)};
  }
  void ExpectPublished(const TlsTexts& texts) const {
    EXPECT_EQ(Published().ca, texts.ca);
    EXPECT_EQ(Published().certificate, texts.certificate);
    EXPECT_EQ(Published().key, texts.key + "\n");
  }
  // A new certificate of the role, by the tests' CA.
  TlsTexts Renewed(CertifiedRole role = CertifiedRole::kShard) const {
    const absl::Time now = absl::Now();
    const auto identity = cli::IssueCertificate(certificates_.authority(), cli::SubjectOf(role),
                                                {now - absl::Minutes(5), now + absl::Hours(48)});
    EXPECT_TRUE(identity.ok()) << identity.status();
    return {good_.ca, identity->certificate, identity->key};
  }

  const TestCertificates certificates_;
  const TlsFiles files_;
  const TlsTexts good_;
  std::unique_ptr<CertificateReloader> reloader_;
};

TEST_F(TlsReloadTest, GoodFilesReplaceWhatWasRead) {
  ExpectPublished(good_);
  const TlsTexts renewed = Renewed();
  Put(renewed);
  reloader_->Look(absl::Now());
  ExpectPublished(renewed);
  EXPECT_TRUE(reloader_->refused().ok());
  EXPECT_LT(absl::AbsDuration(reloader_->valid_until() - (absl::Now() + absl::Hours(48))), absl::Minutes(5));
}

TEST_F(TlsReloadTest, FilesThatCannotBeUsedChangeNothing) {
  const auto cut = [](const std::string& text) { return text.substr(0, text.size() / 2); };
  const auto foreign_ca = cli::MakeAuthority({absl::Now() - absl::Minutes(5), absl::Now() + absl::Hours(1)});
  ASSERT_TRUE(foreign_ca.ok()) << foreign_ca.status();
  const TlsTexts other = Renewed();
  const std::vector<std::pair<std::string, std::function<void(TlsTexts*)>>> cases = {
      {"has no certificate in PEM", [](TlsTexts* texts) { texts->ca.clear(); }},
      {"has no certificate in PEM", [](TlsTexts* texts) { texts->certificate.clear(); }},
      {"has no private key in PEM", [](TlsTexts* texts) { texts->key.clear(); }},
      {"damaged or cut", [&](TlsTexts* texts) { texts->ca = cut(texts->ca); }},
      {"damaged or cut", [&](TlsTexts* texts) { texts->ca += cut(texts->ca); }},
      {"damaged or cut", [&](TlsTexts* texts) { texts->certificate = cut(texts->certificate); }},
      {"has no private key in PEM", [&](TlsTexts* texts) { texts->key = cut(texts->key); }},
      {"has no certificate in PEM", [](TlsTexts* texts) { texts->certificate = std::string(100, '\0'); }},
      {"is not the private key", [&](TlsTexts* texts) { texts->key = other.key; }},
      {"is not the private key", [&](TlsTexts* texts) { texts->certificate = other.certificate; }},
      {"checked against", [&](TlsTexts* texts) { texts->ca = foreign_ca->certificate; }},
      {"is the certificate of a worker", [&](TlsTexts* texts) { *texts = Renewed(CertifiedRole::kWorker); }},
      {"more than a PEM file has", [](TlsTexts* texts) { texts->ca.assign(2 << 20, 'x'); }},
  };
  for (const auto& [reason, damage] : cases) {
    TlsTexts damaged = good_;
    damage(&damaged);
    Put(damaged);
    reloader_->Look(absl::Now());
    EXPECT_THAT(std::string(reloader_->refused().message()), HasSubstr(reason));
    ExpectPublished(good_);
    Put(good_);
    reloader_->Look(absl::Now());
    EXPECT_TRUE(reloader_->refused().ok()) << reloader_->refused();
  }
  std::filesystem::remove(files_.key);
  reloader_->Look(absl::Now());
  EXPECT_EQ(reloader_->refused().code(), absl::StatusCode::kNotFound);
  ExpectPublished(good_);
}

TEST_F(TlsReloadTest, EachReasonWhyFilesCannotBeUsedIsOneLineOfTheLog) {
  constexpr char kLine[] = "error: TLS: what was read before stays in use: ";
  const auto lines_of_three_looks = [&] {
    return Logged([&] {
      for (int look = 0; look < 3; ++look) reloader_->Look(absl::Now());
    });
  };
  Put(files_.key, "");
  const std::vector<std::string> empty = lines_of_three_looks();
  ASSERT_THAT(empty, SizeIs(1));
  EXPECT_THAT(empty[0], AllOf(HasSubstr(kLine + files_.key), HasSubstr("has no private key in PEM")));
  EXPECT_THAT(lines_of_three_looks(), IsEmpty());

  Put(files_.key, Renewed().key);
  const std::vector<std::string> foreign = lines_of_three_looks();
  ASSERT_THAT(foreign, SizeIs(1));
  EXPECT_THAT(foreign[0], AllOf(HasSubstr(kLine + files_.key), HasSubstr("is not the private key")));

  // Files that are as they were read are nothing to tell; one that is bad again is.
  Put(good_);
  EXPECT_THAT(lines_of_three_looks(), IsEmpty());
  Put(files_.key, "");
  EXPECT_EQ(lines_of_three_looks().size(), 1u);
}

TEST_F(TlsReloadTest, GoodFilesThatReplaceOthersAreOneLineOfTheLog) {
  Put(Renewed());
  std::filesystem::permissions(files_.key, std::filesystem::perms{0600});
  const std::vector<std::string> lines = Logged([&] {
    for (int look = 0; look < 3; ++look) reloader_->Look(absl::Now());
  });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("TLS: new connections use what was replaced; it is valid until "));
}

TEST_F(TlsReloadTest, AKeyThatOthersMayReadOrChangeIsWarnedOfOnce) {
  const auto lines_at_mode = [&](unsigned mode) {
    std::filesystem::permissions(files_.key, std::filesystem::perms{mode});
    return Logged([&] {
      const auto reloader = CertificateReloader::Create(files_, CertifiedRole::kShard, absl::Now());
      ASSERT_TRUE(reloader.ok()) << reloader.status();
      for (int look = 0; look < 3; ++look) (*reloader)->Look(absl::Now());
    });
  };
  for (const unsigned mode : {0666, 0604, 0602, 0660}) {
    const std::vector<std::string> lines = lines_at_mode(mode);
    ASSERT_THAT(lines, SizeIs(1)) << absl::StrFormat("%04o", mode);
    EXPECT_THAT(lines[0], HasSubstr(absl::StrFormat("warning: %s: other users may read or change this private key "
                                                    "(mode %04o); chmod 600 keeps it to its owner",
                                                    files_.key, mode)));
  }
  for (const unsigned mode : {0600, 0400, 0640}) {  // a group that may read is what Kubernetes' fsGroup makes
    EXPECT_THAT(lines_at_mode(mode), IsEmpty()) << absl::StrFormat("%04o", mode);
  }
}

TEST_F(TlsReloadTest, AKeyThatIsReplacedByOneThatOthersMayReadIsWarnedOfOnce) {
  Put(Renewed());
  std::filesystem::permissions(files_.key, std::filesystem::perms{0666});
  const std::vector<std::string> lines = Logged([&] {
    for (int look = 0; look < 3; ++look) reloader_->Look(absl::Now());
  });
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr("TLS: new connections use what was replaced"));
  EXPECT_THAT(lines[1], HasSubstr(absl::StrCat("warning: ", files_.key, ": ")));
}

TEST_F(TlsReloadTest, APairThatIsReplacedFileByFileIsTakenOnceItIsWhole) {
  const TlsTexts renewed = Renewed();
  Put(files_.certificate, renewed.certificate);
  reloader_->Look(absl::Now());
  EXPECT_THAT(std::string(reloader_->refused().message()), HasSubstr("is not the private key of the certificate"));
  ExpectPublished(good_);
  Put(files_.key, renewed.key);
  reloader_->Look(absl::Now());
  EXPECT_TRUE(reloader_->refused().ok());
  ExpectPublished(renewed);
}

TEST_F(TlsReloadTest, TheCertificateThatExpiresFirstCounts) {
  const absl::Time now = absl::Now(), soon = now + absl::Hours(24);
  const auto short_ca = cli::MakeAuthority({now - absl::Minutes(5), soon});
  ASSERT_TRUE(short_ca.ok()) << short_ca.status();
  const auto identity = cli::IssueCertificate(*short_ca, cli::SubjectOf(CertifiedRole::kShard),
                                              {now - absl::Minutes(5), now + absl::Hours(1000)});
  ASSERT_TRUE(identity.ok()) << identity.status();
  Put({short_ca->certificate, identity->certificate, identity->key});
  reloader_->Look(now);
  EXPECT_LT(absl::AbsDuration(reloader_->valid_until() - soon), absl::Minutes(1));
}

TEST_F(TlsReloadTest, AServerOutlivesEveryEmptyFileAndItsMetricsSayThatSomethingIsWrong) {
  const Security security = certificates_.SecurityOf(CertifiedRole::kShard);
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  MeterTls(security, &metrics);
  const auto server = RpcServer::Start("127.0.0.1:0", {}, {.security = security});
  ASSERT_TRUE(server.ok()) << server.status();
  const Security worker = certificates_.SecurityOf(CertifiedRole::kWorker);
  const auto shown = [&] { return CertificateShownBy((*server)->address(), worker, CertifiedRole::kShard); };
  const auto refused = [&] {
    registry.scraped()->Collect();
    return metrics.certificate_refused.Value() == 1;
  };
  EXPECT_EQ(shown(), good_.certificate);
  for (const std::string& path : {files_.ca, files_.certificate, files_.key}) {
    Put(path, "");
    do {
      EXPECT_EQ(shown(), good_.certificate);
    } while (!HasFailure() && !refused());
    Put(good_);
    while (!HasFailure() && refused()) EXPECT_EQ(shown(), good_.certificate);
  }
  EXPECT_EQ(metrics.certificate_expiry.Value(), absl::ToUnixSeconds(security.valid_until()));
  const TlsTexts renewed = Renewed();
  Put(renewed);
  while (shown() == good_.certificate) {
  }
  EXPECT_EQ(shown(), renewed.certificate);
}

}  // namespace
}  // namespace arcshard
