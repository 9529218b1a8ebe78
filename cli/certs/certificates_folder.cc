#include "cli/certs/certificates_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/certs/issue_certificate.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/rpc/security/certificate.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kAuthorityLifetime = absl::Hours(24 * 3650);
constexpr absl::Duration kClockSkew = absl::Hours(1);  // between the machines of a run
constexpr mode_t kFromOthers = 0077;
constexpr mode_t kChangesByOthers = 0022;

struct File {
  std::string path;
  std::string contents;
  bool secret = false;
};

std::string FolderOf(const std::string& folder, CertifiedRole role) { return absl::StrCat(folder, "/", NameOf(role)); }

std::vector<std::string> AllPaths(const std::string& folder) {
  std::vector<std::string> paths = {absl::StrCat(folder, "/ca.crt"), absl::StrCat(folder, "/ca.key")};
  for (const CertifiedRole role : kAllCertifiedRoles) {
    for (const char* const name : {"ca.crt", "tls.crt", "tls.key"}) {
      paths.push_back(absl::StrCat(FolderOf(folder, role), "/", name));
    }
  }
  return paths;
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

absl::StatusOr<std::vector<File>> Make(const CertificatesOptions& options, absl::Time now) {
  const absl::Time from = now - kClockSkew;
  ASSIGN_OR_RETURN(const Identity authority,
                   MakeAuthority({from, now + std::max(options.lifetime, kAuthorityLifetime)}));
  std::vector<File> files = {{absl::StrCat(options.folder, "/ca.crt"), authority.certificate},
                             {absl::StrCat(options.folder, "/ca.key"), authority.key, true}};
  for (const CertifiedRole role : kAllCertifiedRoles) {
    ASSIGN_OR_RETURN(const Identity identity,
                     IssueCertificate(authority, SubjectOf(role), {from, now + options.lifetime}));
    const std::string own = FolderOf(options.folder, role);
    files.push_back({absl::StrCat(own, "/ca.crt"), authority.certificate});
    files.push_back({absl::StrCat(own, "/tls.crt"), identity.certificate});
    files.push_back({absl::StrCat(own, "/tls.key"), identity.key, true});
  }
  return files;
}

// What this process makes meanwhile is without these permissions, whatever the user's umask is.
class WithoutPermissions {
 public:
  explicit WithoutPermissions(mode_t taken) : before_(umask(taken)) {}
  ~WithoutPermissions() { umask(before_); }
  WithoutPermissions(const WithoutPermissions&) = delete;
  WithoutPermissions& operator=(const WithoutPermissions&) = delete;

 private:
  const mode_t before_;
};

absl::Status Write(const File& file) {
  const WithoutPermissions guard(file.secret ? kFromOthers : kChangesByOthers);
  return WriteFileAtomically(file.path, file.contents);
}

absl::Status MakeFolders(const std::string& folder) {
  const WithoutPermissions guard(kChangesByOthers);
  RETURN_IF_ERROR(CreateFolders(folder));
  for (const CertifiedRole role : kAllCertifiedRoles) RETURN_IF_ERROR(CreateFolders(FolderOf(folder, role)));
  return absl::OkStatus();
}

}  // namespace

absl::Status InitCertificates(const CertificatesOptions& options, absl::Time now) {
  for (const std::string& path : AllPaths(options.folder)) {
    if (!Exists(path)) continue;
    return absl::AlreadyExistsError(absl::StrCat(path,
                                                 " exists, and nothing is overwritten; arcshard certs renew makes new "
                                                 "certificates of the same CA"));
  }
  ASSIGN_OR_RETURN(const std::vector<File> files, Make(options, now));
  RETURN_IF_ERROR(MakeFolders(options.folder));
  for (size_t i = 0; i < files.size(); ++i) {
    const absl::Status status = Write(files[i]);
    if (status.ok()) continue;
    for (size_t made = 0; made < i; ++made) unlink(files[made].path.c_str());
    return status;
  }
  return absl::OkStatus();
}

bool HasCertificates(const std::string& folder) {
  const std::vector<std::string> paths = AllPaths(folder);
  return std::all_of(paths.begin(), paths.end(), Exists);
}

absl::Status RenewCertificates(const CertificatesOptions& options, absl::Time now) {
  const std::string ca = absl::StrCat(options.folder, "/ca.crt");
  Identity authority;
  ASSIGN_OR_RETURN(authority.certificate, ReadFile(ca));
  ASSIGN_OR_RETURN(authority.key, ReadFile(absl::StrCat(options.folder, "/ca.key")));
  for (const CertifiedRole role : kAllCertifiedRoles) {
    const std::string own = FolderOf(options.folder, role);
    const TlsFiles files{.ca = ca, .certificate = absl::StrCat(own, "/tls.crt"), .key = absl::StrCat(own, "/tls.key")};
    ASSIGN_OR_RETURN(const std::string key, ReadFile(files.key));
    const Validity validity{now - kClockSkew, now + options.lifetime};
    const absl::StatusOr<Identity> identity = IssueCertificate(authority, SubjectOf(role), validity, key);
    if (!identity.ok()) return Annotate(identity.status(), own);
    RETURN_IF_ERROR(Write({files.certificate, identity->certificate}));
    RETURN_IF_ERROR(CheckTlsFiles(files, now).status());
  }
  return absl::OkStatus();
}

}  // namespace arcshard::cli
