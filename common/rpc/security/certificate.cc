#include "common/rpc/security/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
void FreeStack(STACK_OF(X509) * certificates) { sk_X509_pop_free(certificates, X509_free); }

using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Pointer = std::unique_ptr<X509, Deleter<X509_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), Deleter<FreeStack>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;

Bio Reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

constexpr uint64_t kMostFileBytes = uint64_t{1} << 20;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  ASSIGN_OR_RETURN(const ReadableFile file, ReadableFile::Open(path));
  if (file.size() > kMostFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has ", file.size(), " bytes, more than a PEM file has"));
  }
  return ReadFile(path);
}

absl::StatusOr<std::vector<X509Pointer>> ParseCertificates(const std::string& path, const std::string& text) {
  const Bio reader = Reader(text);
  std::vector<X509Pointer> certificates;
  while (X509* const certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  // OpenSSL reports the end of the text as an error too.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return absl::InvalidArgumentError(absl::StrCat(path, ": has a certificate that is damaged or cut"));
  if (certificates.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": has no certificate in PEM"));
  return certificates;
}

// Never asks for a pass phrase: the programs run unattended.
int NoPassPhrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Key> ParseKey(const std::string& path, const std::string& text) {
  Key key(PEM_read_bio_PrivateKey(Reader(text).get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has no private key in PEM, or one with a pass phrase"));
  }
  return key;
}

absl::StatusOr<CertifiedRole> RoleOf(X509* certificate) {
  std::vector<std::string> uris;
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* const uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), ASN1_STRING_length(uri));
  }
  return RoleOfUris(uris);
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? absl::FromTM(parts, absl::UTCTimeZone()) : absl::InfinitePast();
}

std::string Day(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone()); }

// chain: the certificate, followed by intermediate certificates. Returns when the first certificate expires of those
// that lead from it to a trusted one.
absl::StatusOr<absl::Time> CheckSignedBy(const std::vector<X509Pointer>& trusted, const std::vector<X509Pointer>& chain,
                                         absl::Time now) {
  const Store store(X509_STORE_new());
  for (const X509Pointer& certificate : trusted) X509_STORE_add_cert(store.get(), certificate.get());
  const Stack between(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) {
    X509_up_ref(chain[i].get());
    sk_X509_push(between.get(), chain[i].get());
  }
  const StoreContext context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), between.get());
  X509_STORE_CTX_set_time(context.get(), 0, absl::ToTimeT(now));
  const bool valid = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (valid) {
    absl::Time first = absl::InfiniteFuture();
    const STACK_OF(X509)* const path = X509_STORE_CTX_get0_chain(context.get());
    for (int i = 0; i < sk_X509_num(path); ++i) {
      first = std::min(first, TimeOf(X509_get0_notAfter(sk_X509_value(path, i))));
    }
    return first;
  }
  return absl::FailedPreconditionError(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace

absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files) {
  TlsTexts texts;
  ASSIGN_OR_RETURN(texts.ca, ReadPem(files.ca));
  ASSIGN_OR_RETURN(texts.certificate, ReadPem(files.certificate));
  ASSIGN_OR_RETURN(texts.key, ReadPem(files.key));
  return texts;
}

std::string WarningOfOpenKey(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";  // whoever reads it says why it cannot be read
  if ((info.st_mode & (S_IWGRP | S_IRWXO)) == 0) return "";
  return absl::StrCat(path, ": other users may read or change this private key (mode ",
                      absl::StrFormat("%04o", info.st_mode & 07777), "); chmod 600 keeps it to its owner");
}

absl::StatusOr<Certificate> CheckTlsTexts(const TlsFiles& files, const TlsTexts& texts, absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<X509Pointer> trusted, ParseCertificates(files.ca, texts.ca));
  ASSIGN_OR_RETURN(const std::vector<X509Pointer> chain, ParseCertificates(files.certificate, texts.certificate));
  ASSIGN_OR_RETURN(const Key key, ParseKey(files.key, texts.key));
  X509* const own = chain.front().get();
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return absl::FailedPreconditionError(
        absl::StrCat(files.key, ": is not the private key of the certificate in ", files.certificate));
  }
  const absl::StatusOr<absl::Time> valid_until = CheckSignedBy(trusted, chain, now);
  if (!valid_until.ok()) {
    return Annotate(valid_until.status(),
                    absl::StrCat(files.certificate, " (valid from ", Day(TimeOf(X509_get0_notBefore(own))), " to ",
                                 Day(TimeOf(X509_get0_notAfter(own))), ", checked against ", files.ca, ")"));
  }
  const absl::StatusOr<CertifiedRole> role = RoleOf(own);
  if (!role.ok()) return Annotate(role.status(), files.certificate);
  return Certificate{.role = *role, .valid_until = *valid_until};
}

absl::StatusOr<Certificate> CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(files));
  return CheckTlsTexts(files, texts, now);
}

}  // namespace arcshard
