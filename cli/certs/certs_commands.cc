#include "cli/certs/certs_commands.h"

#include "absl/strings/str_cat.h"
#include "cli/certs/certificates_folder.h"
#include "cli/display/console.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

constexpr int kMostDays = 3650;  // the CA is valid for at least as long

}  // namespace

CertsCommands::CertsCommands(CommandLine program)
    : Command(program.AddCommand("certs", "Make the certificates with which the processes of a run authenticate")),
      init_(Add("init", "Make a CA, and a certificate for each role: coordinator, shard, worker, client")),
      renew_(
          Add("renew", "Make new certificates with the same CA and keys; running processes load them within seconds")) {
  init_.AddFlag("--keep", &keep_, "If all files exist already, keep them and succeed");
}

CommandLine CertsCommands::Add(const char* name, const char* help) {
  CommandLine command = line().AddCommand(name, help);
  command.Add("folder", &folder_, "Folder of the certificates").Required();
  command.Add("--days", &days_, "How many days the roles' certificates are valid").Within(1, kMostDays).ShowDefault();
  return command;
}

absl::StatusOr<int> CertsCommands::Run() {
  const absl::Time now = SystemClock().WallTime();
  const CertificatesOptions options{.folder = folder_, .lifetime = absl::Hours(24) * days_};
  const std::string until =
      absl::StrCat("valid until ", absl::FormatTime("%Y-%m-%d", now + options.lifetime, absl::UTCTimeZone()));
  const std::string folder = PrintableLine(folder_);
  if (renew_.given()) {
    RETURN_IF_ERROR(RenewCertificates(options, now));
    RETURN_IF_ERROR(
        PrintText(absl::StrCat("renewed ", folder, "/{coordinator,shard,worker,client}/tls.crt, ", until, "\n")));
    return 0;
  }
  if (keep_ && HasCertificates(folder_)) {
    RETURN_IF_ERROR(PrintText(absl::StrCat(folder, " has its certificates already\n")));
    return 0;
  }
  RETURN_IF_ERROR(InitCertificates(options, now));
  RETURN_IF_ERROR(PrintText(absl::StrCat(
      "made ", folder, "/ca.crt and ca.key, the CA: keep ca.key secret, only arcshard certs renew needs it\n", "made ",
      folder, "/{coordinator,shard,worker,client}/{tls.crt,tls.key,ca.crt}, ", until, "\n",
      "start each process with --tls-ca ROLE/ca.crt --tls-cert ROLE/tls.crt --tls-key ROLE/tls.key\n")));
  return 0;
}

}  // namespace arcshard::cli
