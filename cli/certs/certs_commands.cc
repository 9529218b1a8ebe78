#include "cli/certs/certs_commands.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/certs/certificates_folder.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

constexpr int kMostDays = 3650;  // what the CA lives, at least

void Say(const std::string& text) { std::fputs(text.c_str(), stdout); }

}  // namespace

CertsCommands::CertsCommands(CLI::App* app)
    : certs_(app->add_subcommand("certs", "Make the certificates by which the processes of a run know each other")),
      init_(Add("init", "A CA of your own, and a certificate for each role: coordinator, shard, worker, client")),
      renew_(Add("renew", "New certificates of the same CA and keys; running processes take them within seconds")) {
  certs_->require_subcommand(1);
  init_->add_flag("--keep", keep_, "Where all of it is there already, leave it and succeed");
}

CLI::App* CertsCommands::Add(const char* name, const char* help) {
  CLI::App* const command = certs_->add_subcommand(name, help);
  command->add_option("folder", folder_, "Where they lie")->required();
  command->add_option("--days", days_, "How long the roles' certificates are valid")
      ->check(CLI::Range(1, kMostDays))
      ->capture_default_str();
  return command;
}

absl::Status CertsCommands::Run() const {
  const absl::Time now = absl::Now();
  const CertificatesOptions options{.folder = folder_, .lifetime = absl::Hours(24) * days_};
  const std::string until =
      absl::StrCat("valid until ", absl::FormatTime("%Y-%m-%d", now + options.lifetime, absl::UTCTimeZone()));
  if (renew_->parsed()) {
    RETURN_IF_ERROR(RenewCertificates(options, now));
    Say(absl::StrCat("renewed ", folder_, "/{coordinator,shard,worker,client}/tls.crt, ", until, "\n"));
    return absl::OkStatus();
  }
  if (keep_ && HasCertificates(folder_)) {
    Say(absl::StrCat(folder_, " has its certificates already\n"));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(InitCertificates(options, now));
  Say(absl::StrCat("made ", folder_, "/ca.crt and ca.key, the CA: keep ca.key from everybody, only renewing needs it\n",
                   "made ", folder_, "/{coordinator,shard,worker,client}/{tls.crt,tls.key,ca.crt}, ", until, "\n",
                   "each process gets --tls-ca ROLE/ca.crt --tls-cert ROLE/tls.crt --tls-key ROLE/tls.key\n"));
  return absl::OkStatus();
}

}  // namespace arcshard::cli
