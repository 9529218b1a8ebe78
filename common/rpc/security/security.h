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

// How this process talks to others: by mutual TLS (1.2 or newer), or in plaintext. Under TLS both sides show a
// certificate of the same private CA, and each checks the other's role instead of its host name: replicas have
// generated names. Cheap to copy; thread-safe. Free of gRPC, so that whoever knows LibTorch may know it too.
class Security {
 public:
  // Plaintext, on loopback alone.
  Security() = default;
  // Plaintext, wherever one listens.
  static Security Insecure();
  // The files are read again once a second: connections made after they were replaced use the new ones, those that
  // stand are not touched. Replace key and certificate together (by a link to their folder, as Kubernetes does), or the
  // certificate alone; in between new connections may fail.
  // `own`: the role that this process has to have; nullopt: any. Errors as CheckTlsFiles'; PermissionDenied: the
  // certificate is of another role.
  static absl::StatusOr<Security> Tls(const TlsFiles& files, std::optional<CertifiedRole> own, absl::Time now);

  bool tls() const { return tls_ != nullptr; }
  bool insecure() const { return insecure_; }

  // Of a server. Under TLS a handshake fails without a certificate that names a role; which role an RPC asks for is
  // authorize.h's matter.
  std::shared_ptr<grpc::ServerCredentials> ForServer() const;
  // Of a channel to a server that has to be `peer`.
  std::shared_ptr<grpc::ChannelCredentials> ForChannelTo(CertifiedRole peer) const;

  // Whether a server may listen on `host`, as of the rule: beyond loopback only with TLS, or insecure, which is then
  // said in the log. FailedPrecondition: not; the message names `address`, which is host or host:port.
  absl::Status CheckListen(const std::string& host, absl::string_view address) const;

 private:
  struct TlsState;

  std::shared_ptr<const TlsState> tls_;
  bool insecure_ = false;
};

}  // namespace arcshard
