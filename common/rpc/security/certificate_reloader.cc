#include "common/rpc/security/certificate_reloader.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"

namespace arcshard {
namespace {

// One file for both, so that gRPC, which reads them one after the other, never gets a key and another one's
// certificate.
std::string IdentityOf(const TlsTexts& texts) { return absl::StrCat(texts.key, "\n", texts.certificate); }

void WarnOfOpenKey(const TlsFiles& files) {
  if (const std::string warning = WarningOfOpenKey(files.key); !warning.empty()) {
    LogInfo(absl::StrCat("warning: ", warning));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CertificateReloader>> CertificateReloader::Create(const TlsFiles& files,
                                                                                 std::optional<CertifiedRole> own,
                                                                                 absl::Time now) {
  auto reloader = absl::WrapUnique(new CertificateReloader(files, own));
  ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(files));
  ASSIGN_OR_RETURN(const Certificate certificate, reloader->Check(texts, now));
  ASSIGN_OR_RETURN(reloader->ca_, MemoryFile::Create(texts.ca));
  ASSIGN_OR_RETURN(reloader->identity_, MemoryFile::Create(IdentityOf(texts)));
  if (const absl::Status readable = ReadFile(reloader->ca_path()).status(); !readable.ok()) {
    return absl::UnavailableError(absl::StrCat("TLS needs /proc: ", readable.message()));
  }
  WarnOfOpenKey(files);
  MutexLock lock(&reloader->mutex_);
  reloader->published_ = texts;
  reloader->valid_until_ = certificate.valid_until;
  return reloader;
}

absl::StatusOr<Certificate> CertificateReloader::Check(const TlsTexts& texts, absl::Time now) const {
  ASSIGN_OR_RETURN(const Certificate certificate, CheckTlsTexts(files_, texts, now));
  if (!own_.has_value() || certificate.role == *own_) return certificate;
  return absl::PermissionDeniedError(absl::StrCat(files_.certificate, ": is the certificate of a ",
                                                  NameOf(certificate.role), ", this process needs one of a ",
                                                  NameOf(*own_)));
}

void CertificateReloader::Look(absl::Time now) {
  const absl::StatusOr<TlsTexts> texts = ReadTlsFiles(files_);
  MutexLock lock(&mutex_);
  absl::Status status = texts.status();
  const bool changed = texts.ok() && *texts != published_;
  if (changed) {
    const absl::StatusOr<Certificate> certificate = Check(*texts, now);
    status = certificate.ok() ? Publish(*texts, *certificate) : certificate.status();
  }
  if (!status.ok() && status != refused_) {
    LogError(absl::StrCat("TLS: what was read before stays in use: ", status.message()));
  } else if (status.ok() && changed) {
    LogInfo(absl::StrCat("TLS: new connections use what was replaced; it is valid until ",
                         absl::FormatTime("%Y-%m-%d %H:%M UTC", valid_until_, absl::UTCTimeZone())));
    WarnOfOpenKey(files_);
  }
  refused_ = status;
}

absl::Status CertificateReloader::Publish(const TlsTexts& texts, const Certificate& certificate) {
  ASSIGN_OR_RETURN(FileDescriptor ca, ca_->Prepare(texts.ca));
  ASSIGN_OR_RETURN(FileDescriptor identity, identity_->Prepare(IdentityOf(texts)));
  ca_->Publish(std::move(ca));
  identity_->Publish(std::move(identity));
  published_ = texts;
  valid_until_ = certificate.valid_until;
  return absl::OkStatus();
}

absl::Time CertificateReloader::valid_until() {
  MutexLock lock(&mutex_);
  return valid_until_;
}

absl::Status CertificateReloader::refused() {
  MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace arcshard
