#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace arcshard::cli {

// A folder of certificates for a small deployment:
//
//   ca.crt, ca.key                                      the CA; only renewing needs ca.key
//   {coordinator,shard,worker,client}/tls.crt, tls.key  the role's certificate, named as in a Kubernetes secret of
//                      /ca.crt                          type kubernetes.io/tls, and the CA that the role trusts
//
// Only their owner can read keys.

struct CertificatesOptions {
  std::string folder;
  absl::Duration lifetime =
      absl::Hours(24 * 365);  // of the roles' certificates; the CA is valid for at least ten years
};

// Makes all files, or none. The folders may exist already. AlreadyExists: one of the files exists.
absl::Status InitCertificates(const CertificatesOptions& options, absl::Time now);

// Whether all files exist.
bool HasCertificates(const std::string& folder);

// Makes new certificates for the roles, with the same CA and the same keys. Each file is replaced atomically and the
// key stays, so a process that reads a pair meanwhile gets one that fits together. FailedPrecondition: the CA has
// expired. NotFound: a file is missing.
absl::Status RenewCertificates(const CertificatesOptions& options, absl::Time now);

}  // namespace arcshard::cli
