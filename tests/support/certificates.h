#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/rpc/security.h"
#include "launcher/issue_certificate.h"

namespace arcshard {

// A folder of certificates for a test, gone with it, and what processes of each role make of them.
class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  const std::string& folder() const { return folder_; }
  TlsFiles FilesOf(CertifiedRole role) const;
  Security SecurityOf(CertifiedRole role) const;
  launcher::Identity authority() const;

  // The files under a new name, with `identity` instead of a role's.
  TlsFiles Write(const std::string& name, const launcher::Identity& identity, const std::string& trusted) const;
  // As `arcshard certs renew`.
  void Renew() const;

 private:
  std::string folder_;
};

// The certificate, in PEM, that the server at host:port shows on a new connection. Empty: the connection fails.
std::string CertificateShownBy(const std::string& address, const Security& security, CertifiedRole server);

}  // namespace arcshard
