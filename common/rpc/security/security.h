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
  // The files are read again once a second, and checked as at the start (CertificateReloader): new connections use
  // replaced files that are good, existing connections are unaffected. They may be replaced one by one.
  // `own`: the role that this process must have; nullopt: any. Errors are those of CertificateReloader::Create.
  static absl::StatusOr<Security> Tls(const TlsFiles& files, std::optional<CertifiedRole> own, absl::Time now);

  bool tls() const { return tls_ != nullptr; }
  bool insecure() const { return insecure_; }

  // Lets connections ask the proxy that http_proxy and the like name. Otherwise they never do: a run's processes reach
  // each other directly, and company networks set these variables for every login.
  void UseProxy() { uses_proxy_ = true; }
  bool uses_proxy() const { return uses_proxy_; }

  // Under TLS, for metrics: when what this process shows its peers expires (Certificate::valid_until); and why the
  // files on the disk cannot be used, OK if they are. Requires tls().
  absl::Time valid_until() const;
  absl::Status refused_files() const;

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
  bool uses_proxy_ = false;
};

}  // namespace arcshard
