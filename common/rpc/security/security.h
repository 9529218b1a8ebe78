#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/security/certificate.h"
#include "common/rpc/security/certified_role.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace arcshard {

// How this process communicates with others: by mutual TLS (1.2 or newer), or in plaintext. Under TLS both sides
// present a certificate of the same private CA, and each checks the other's role instead of its host name, since
// replicas have generated names. Cheap to copy; thread-safe. This header includes nothing of gRPC, so that files that
// include LibTorch can include it.
class Security {
 public:
  // Plaintext, only on loopback.
  Security() = default;
  // Plaintext on any address.
  static Security Insecure();
  // The files are read again once a second: new connections use replaced files, existing connections are unaffected.
  // Replace key and certificate together (by a link to their folder, as Kubernetes does), or only the certificate; in
  // between, new connections may fail.
  // `own`: the role that this process must have; nullopt: any. Errors are those of CheckTlsFiles. PermissionDenied: the
  // certificate has another role.
  static absl::StatusOr<Security> Tls(const TlsFiles& files, std::optional<CertifiedRole> own, absl::Time now);

  bool tls() const { return tls_ != nullptr; }
  bool insecure() const { return insecure_; }

  // The credentials of a server. Under TLS a handshake requires a certificate with a role; authorize.h checks which
  // role an RPC requires.
  std::shared_ptr<grpc::ServerCredentials> ForServer() const;
  // The credentials of a channel to a server that must have the role `peer`.
  std::shared_ptr<grpc::ChannelCredentials> ForChannelTo(CertifiedRole peer) const;

  // Checks that a server may listen on `host`: other addresses than loopback require TLS or Insecure, which logs a
  // warning. FailedPrecondition: it may not; the message names `address`, which is host or host:port.
  absl::Status CheckListen(const std::string& host, absl::string_view address) const;

 private:
  struct TlsState;

  std::shared_ptr<const TlsState> tls_;
  bool insecure_ = false;
};

}  // namespace arcshard
