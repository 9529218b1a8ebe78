#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace arcshard::cli {

// A folder of certificates for a small deployment:
//
//   ca.crt, ca.key                                      the CA; ca.key is needed here alone
//   {coordinator,shard,worker,client}/tls.crt, tls.key  what each role shows, as in a Kubernetes secret of type
//                      /ca.crt                          kubernetes.io/tls, and whom it trusts
//
// Keys are readable by their owner only.

struct CertificatesOptions {
  std::string folder;
  absl::Duration lifetime = absl::Hours(24 * 365);  // of the roles' certificates; the CA's is at least ten years
};

// Makes all of it, or nothing; folders may be there, empty. AlreadyExists: a file of it is there.
absl::Status InitCertificates(const CertificatesOptions& options, absl::Time now);

// Whether all of it is there.
bool HasCertificates(const std::string& folder);

// New certificates for the roles, of the same CA and the same keys: each file is replaced at once, so whoever reads it
// meanwhile has a pair that fits. FailedPrecondition: the CA has expired. NotFound: a part is missing.
absl::Status RenewCertificates(const CertificatesOptions& options, absl::Time now);

}  // namespace arcshard::cli
