#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/security/certified_role.h"

namespace arcshard::cli {

// A certificate and its private key, both as PEM. Keys are ECDSA keys over P-256.
struct Identity {
  std::string certificate;
  std::string key;
};

struct Validity {
  absl::Time from;
  absl::Time until;
};

// Makes a CA, which may sign certificates but no further CA.
absl::StatusOr<Identity> MakeAuthority(const Validity& validity);

// The owner of a certificate.
struct Subject {
  std::string name;               // "arcshard shard", for people
  std::string alternative_names;  // in OpenSSL's notation: "URI:urn:arcshard:role:shard,DNS:shard"
  bool serves = false;            // may be a server too, not only a client
};
// Coordinators and shards are servers; their names "localhost" and the role are for tools that check names.
Subject SubjectOf(CertifiedRole role);

// Makes a certificate signed by `authority`. key: PEM of the private key to certify; empty: makes one.
// InvalidArgument: `authority` or `key` cannot be read, or the CA's key does not belong to its certificate.
absl::StatusOr<Identity> IssueCertificate(const Identity& authority, const Subject& subject, const Validity& validity,
                                          const std::string& key = "");

}  // namespace arcshard::cli
