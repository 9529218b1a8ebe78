#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/certs/issue_certificate.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// A test's folder with certificates, which the destructor deletes, and the Security of each role.
class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  const std::string& folder() const { return folder_; }
  TlsFiles FilesOf(CertifiedRole role) const;
  Security SecurityOf(CertifiedRole role) const;
  cli::Identity authority() const;

  // Writes the files of `identity`, which need not have a role, under a new name.
  TlsFiles Write(const std::string& name, const cli::Identity& identity, const std::string& trusted) const;
  // Does the same as `arcshard certs renew`.
  void Renew() const;

 private:
  std::string folder_;
};

// The certificate, in PEM, that the server at host:port presents on a new connection; empty if the connection fails.
std::string CertificateShownBy(const std::string& address, const Security& security, CertifiedRole server);

}  // namespace arcshard
