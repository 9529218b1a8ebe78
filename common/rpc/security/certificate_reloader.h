#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/rpc/security/certificate.h"
#include "common/rpc/security/certified_role.h"
#include "common/rpc/security/memory_file.h"

namespace arcshard {

// The TLS files of a process as gRPC gets to see them: read, checked as at the start, and only then published. Files
// that are missing, empty, half-written or do not fit together, as they are for a moment while somebody replaces them,
// change nothing: what was published before stays. gRPC itself must not read them: it aborts the process if one is
// empty. Thread-safe.
class CertificateReloader {
 public:
  // `own`: the role that the certificate must have; nullopt: any. Errors are those of ReadTlsFiles and CheckTlsTexts.
  // PermissionDenied: the certificate has another role. Unavailable: there is no /proc, through which gRPC reads.
  static absl::StatusOr<std::unique_ptr<CertificateReloader>> Create(const TlsFiles& files,
                                                                     std::optional<CertifiedRole> own, absl::Time now);

  // Reads the files again and publishes them if they have changed and are good. Logs a line when they are replaced, and
  // one for each reason why they cannot be used.
  void Look(absl::Time now);

  // What gRPC reads: the CA, and the private key followed by the certificate. They change together with their time of
  // modification.
  const std::string& ca_path() const { return ca_->path(); }
  const std::string& identity_path() const { return identity_->path(); }

  absl::Time valid_until();
  // Why the files on the disk cannot be used; OK: they are in use.
  absl::Status refused();

 private:
  CertificateReloader(TlsFiles files, std::optional<CertifiedRole> own) : files_(std::move(files)), own_(own) {}

  absl::StatusOr<Certificate> Check(const TlsTexts& texts, absl::Time now) const;
  absl::Status Publish(const TlsTexts& texts, const Certificate& certificate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TlsFiles files_;
  const std::optional<CertifiedRole> own_;
  Mutex mutex_;
  TlsTexts published_ ABSL_GUARDED_BY(mutex_);
  absl::Time valid_until_ ABSL_GUARDED_BY(mutex_);
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<MemoryFile> ca_;        // made by Create
  std::unique_ptr<MemoryFile> identity_;  // likewise
};

}  // namespace arcshard
