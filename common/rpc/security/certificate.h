#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"

namespace arcshard {

// Paths of PEM files: whom to trust, who this process is, and its private key. All three, or none.
struct TlsFiles {
  std::string ca;
  std::string certificate;  // followed by those between it and the CA, if any
  std::string key;

  bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

struct Certificate {
  CertifiedRole role = CertifiedRole::kClient;
  absl::Time valid_until;
};

// Reads the files and checks what a peer will: InvalidArgument: one is not PEM. FailedPrecondition: the key is not the
// certificate's, the CA has not signed it, it is expired or not valid yet. Unauthenticated: it names no role. Else as
// ReadFile. Every message names the file.
absl::StatusOr<Certificate> CheckTlsFiles(const TlsFiles& files, absl::Time now);

}  // namespace arcshard
