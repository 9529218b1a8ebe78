#include "tests/testing/certificates.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/auth_context.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/certs/certificates_folder.h"
#include "common/io/file.h"
#include "common/rpc/endpoint.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"

namespace arcshard {

TestCertificates::TestCertificates() : folder_(::testing::TempDir() + "arcshard_certificates_XXXXXX") {
  EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  const absl::Status status = cli::InitCertificates({.folder = folder_}, absl::Now());
  EXPECT_TRUE(status.ok()) << status;
}

TestCertificates::~TestCertificates() { std::filesystem::remove_all(folder_); }

TlsFiles TestCertificates::FilesOf(CertifiedRole role) const {
  const std::string own = absl::StrCat(folder_, "/", NameOf(role));
  return {absl::StrCat(own, "/ca.crt"), absl::StrCat(own, "/tls.crt"), absl::StrCat(own, "/tls.key")};
}

Security TestCertificates::SecurityOf(CertifiedRole role) const {
  const absl::StatusOr<Security> security = Security::Tls(FilesOf(role), role, absl::Now());
  EXPECT_TRUE(security.ok()) << security.status();
  return security.value_or(Security());
}

cli::Identity TestCertificates::authority() const {
  return {ReadFile(folder_ + "/ca.crt").value_or(""), ReadFile(folder_ + "/ca.key").value_or("")};
}

TlsFiles TestCertificates::Write(const std::string& name, const cli::Identity& identity,
                                 const std::string& trusted) const {
  const std::string path = absl::StrCat(folder_, "/", name);
  const TlsFiles files{path + ".ca", path + ".crt", path + ".key"};
  EXPECT_TRUE(WriteFileAtomically(files.ca, trusted).ok());
  EXPECT_TRUE(WriteFileAtomically(files.certificate, identity.certificate).ok());
  EXPECT_TRUE(WriteFileAtomically(files.key, identity.key).ok());
  return files;
}

void TestCertificates::Renew() const {
  const absl::Status status = cli::RenewCertificates({.folder = folder_}, absl::Now());
  EXPECT_TRUE(status.ok()) << status;
}

std::string CertificateShownBy(const std::string& address, const Security& security, CertifiedRole server) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address, security, server);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(10)));
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
  if (!status.ok()) return "";
  const auto values = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return values.empty() ? "" : std::string(values[0].data(), values[0].size());
}

}  // namespace arcshard
