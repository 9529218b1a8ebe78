#include "common/rpc/security/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

absl::StatusOr<std::vector<X509Pointer>> ReadCertificates(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Bio reader = Reader(text);
  std::vector<X509Pointer> certificates;
  while (X509* const certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  ERR_clear_error();  // OpenSSL reports the end of the file as an error
  if (certificates.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": has no certificate in PEM"));
  return certificates;
}

// Never asks for a pass phrase: the programs run unattended.
int NoPassPhrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Key> ReadKey(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
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

// chain: the certificate, followed by intermediate certificates.
absl::Status CheckSignedBy(const std::vector<X509Pointer>& trusted, const std::vector<X509Pointer>& chain,
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
  if (valid) return absl::OkStatus();
  return absl::FailedPreconditionError(X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace

absl::StatusOr<Certificate> CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<X509Pointer> trusted, ReadCertificates(files.ca));
  ASSIGN_OR_RETURN(const std::vector<X509Pointer> chain, ReadCertificates(files.certificate));
  ASSIGN_OR_RETURN(const Key key, ReadKey(files.key));
  X509* const own = chain.front().get();
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return absl::FailedPreconditionError(
        absl::StrCat(files.key, ": is not the private key of the certificate in ", files.certificate));
  }
  Certificate certificate;
  certificate.valid_until = TimeOf(X509_get0_notAfter(own));
  if (const absl::Status status = CheckSignedBy(trusted, chain, now); !status.ok()) {
    return Annotate(status, absl::StrCat(files.certificate, " (valid from ", Day(TimeOf(X509_get0_notBefore(own))),
                                         " to ", Day(certificate.valid_until), ", checked against ", files.ca, ")"));
  }
  const absl::StatusOr<CertifiedRole> role = RoleOf(own);
  if (!role.ok()) return Annotate(role.status(), files.certificate);
  certificate.role = *role;
  return certificate;
}

}  // namespace arcshard
