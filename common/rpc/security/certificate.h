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

// The contents of TlsFiles, all read at about the same time.
struct TlsTexts {
  std::string ca;
  std::string certificate;
  std::string key;
  friend bool operator==(const TlsTexts&, const TlsTexts&) = default;
};

struct Certificate {
  CertifiedRole role = CertifiedRole::kClient;
  absl::Time valid_until;  // the first moment at which it, an intermediate certificate or the CA is no longer valid
};

// Reads the files. InvalidArgument: one has more than 1 MiB. Other errors are those of ReadFile.
absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files);

// A sentence for people if more users than the owner and the group of the key in file `path` may read it, or others
// than the owner may change it; else empty. A group that may read is what Kubernetes' fsGroup makes.
std::string WarningOfOpenKey(const std::string& path);

// Makes the checks that a peer will make of what was read from `files`. InvalidArgument: a text is not PEM, or is cut.
// FailedPrecondition: the key does not belong to the certificate, or the certificate is not signed by the CA, has
// expired or is not valid yet. Unauthenticated: it does not name exactly one role. Messages name the file.
absl::StatusOr<Certificate> CheckTlsTexts(const TlsFiles& files, const TlsTexts& texts, absl::Time now);

// Reads and checks the files.
absl::StatusOr<Certificate> CheckTlsFiles(const TlsFiles& files, absl::Time now);

}  // namespace arcshard
