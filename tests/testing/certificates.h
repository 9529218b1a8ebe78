#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/certs/issue_certificate.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// A folder of certificates for a test, gone with it, and what processes of each role make of them.
class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  const std::string& folder() const { return folder_; }
  TlsFiles FilesOf(CertifiedRole role) const;
  Security SecurityOf(CertifiedRole role) const;
  cli::Identity authority() const;

  // The files under a new name, with `identity` instead of a role's.
  TlsFiles Write(const std::string& name, const cli::Identity& identity, const std::string& trusted) const;
  // As `arcshard certs renew`.
  void Renew() const;

 private:
  std::string folder_;
};

// The certificate, in PEM, that the server at host:port shows on a new connection. Empty: the connection fails.
std::string CertificateShownBy(const std::string& address, const Security& security, CertifiedRole server);

}  // namespace arcshard
