#include "cli/certs/issue_certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

constexpr int kSerialBits = 127;  // a positive number of 16 bytes

// OpenSSL's description of its latest failure.
absl::Status Failed(absl::string_view what) {
  char reason[256];
  ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
  ERR_clear_error();
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", what, ": ", reason));
}

std::string TakeText(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<size_t>(size));
}

absl::StatusOr<Key> ReadKey(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, const_cast<char*>("")));
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("the private key cannot be read");
  return key;
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("the CA's certificate cannot be read");
  return certificate;
}

absl::StatusOr<Identity> Write(X509* certificate, EVP_PKEY* key) {
  const Bio to_certificate(BIO_new(BIO_s_mem()));
  const Bio to_key(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(to_certificate.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(to_key.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("write a certificate");
  }
  return Identity{TakeText(to_certificate.get()), TakeText(to_key.get())};
}

// A certificate of `key` with name and validity, but without extensions and signature.
absl::StatusOr<Certificate> Begin(const std::string& name, const Validity& validity, EVP_PKEY* key) {
  Certificate certificate(X509_new());
  const BigNumber serial(BN_new());
  const auto* const bytes = reinterpret_cast<const unsigned char*>(name.data());
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const bool done =
      X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(validity.from)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(validity.until)) != nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, bytes, static_cast<int>(name.size()), -1, 0) == 1 &&
      X509_set_pubkey(certificate.get(), key) == 1;
  if (!done) return Failed("make a certificate");
  return certificate;
}

// Adds the extensions, in OpenSSL's notation, and signs. The issuer may be the certificate itself.
absl::Status Complete(X509* certificate, const std::vector<std::pair<int, std::string>>& extensions, X509* issuer,
                      EVP_PKEY* issuers_key) {
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1) return Failed("name the issuer");
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [id, value] : extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
    if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
      return Failed(absl::StrCat("add ", OBJ_nid2sn(id), "=", value));
    }
  }
  if (X509_sign(certificate, issuers_key, EVP_sha256()) == 0) return Failed("sign a certificate");
  return absl::OkStatus();
}

}  // namespace

Subject SubjectOf(CertifiedRole role) {
  const bool serves = role == CertifiedRole::kCoordinator || role == CertifiedRole::kShard;
  return {.name = absl::StrCat("arcshard ", NameOf(role)),
          .alternative_names =
              absl::StrCat("URI:", UriOf(role), serves ? absl::StrCat(",DNS:localhost,DNS:", NameOf(role)) : ""),
          .serves = serves};
}

absl::StatusOr<Identity> MakeAuthority(const Validity& validity) {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  ASSIGN_OR_RETURN(const Certificate certificate, Begin("arcshard CA", validity, key.get()));
  RETURN_IF_ERROR(Complete(certificate.get(),
                           {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                            {NID_key_usage, "critical,keyCertSign,cRLSign"},
                            {NID_subject_key_identifier, "hash"}},
                           certificate.get(), key.get()));
  return Write(certificate.get(), key.get());
}

absl::StatusOr<Identity> IssueCertificate(const Identity& authority, const Subject& subject, const Validity& validity,
                                          const std::string& key_pem) {
  ASSIGN_OR_RETURN(const Certificate issuer, ReadCertificate(authority.certificate));
  ASSIGN_OR_RETURN(const Key issuers_key, ReadKey(authority.key));
  if (X509_check_private_key(issuer.get(), issuers_key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the CA's private key does not belong to its certificate");
  }
  Key key;
  if (key_pem.empty()) {
    key.reset(EVP_EC_gen("P-256"));
    if (key == nullptr) return Failed("make a key");
  } else {
    ASSIGN_OR_RETURN(key, ReadKey(key_pem));
  }
  ASSIGN_OR_RETURN(const Certificate certificate, Begin(subject.name, validity, key.get()));
  RETURN_IF_ERROR(Complete(certificate.get(),
                           {{NID_basic_constraints, "critical,CA:FALSE"},
                            {NID_key_usage, "critical,digitalSignature"},
                            {NID_ext_key_usage, subject.serves ? "serverAuth,clientAuth" : "clientAuth"},
                            {NID_subject_key_identifier, "hash"},
                            {NID_authority_key_identifier, "keyid"},
                            {NID_subject_alt_name, subject.alternative_names}},
                           issuer.get(), issuers_key.get()));
  return Write(certificate.get(), key.get());
}

}  // namespace arcshard::cli
