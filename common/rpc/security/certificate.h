#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"

namespace arcshard {

// Paths of PEM files: the trusted CA, this process's certificate, and its private key. All three are set, or none.
struct TlsFiles {
  std::string ca;
  std::string certificate;  // followed by intermediate certificates, if any
  std::string key;

  bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

struct Certificate {
  CertifiedRole role = CertifiedRole::kClient;
  absl::Time valid_until;
};

// Reads the files and makes the checks that a peer will make. InvalidArgument: a file is not PEM. FailedPrecondition:
// the key does not belong to the certificate, or the certificate is not signed by the CA, has expired or is not valid
// yet. Unauthenticated: it does not name exactly one role. Other errors are those of ReadFile. Messages name the file.
absl::StatusOr<Certificate> CheckTlsFiles(const TlsFiles& files, absl::Time now);

}  // namespace arcshard
