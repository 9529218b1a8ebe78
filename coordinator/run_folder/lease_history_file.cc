#include "coordinator/run_folder/lease_history_file.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::coordinator {
namespace {

constexpr const char* kMachine = "machine";
constexpr const char* kUuid = "uuid";
constexpr const char* kReplica = "replica";

std::optional<std::string> TextOf(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

}  // namespace

absl::StatusOr<LeaseHistory> ReadLeaseHistory(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return LeaseHistory();
  RETURN_IF_ERROR(text.status());
  const absl::Status damaged =
      absl::DataLossError(absl::StrCat(path, ": is not a list of GPUs and the shards that had them; delete it"));
  const nlohmann::json list = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return damaged;
  LeaseHistory history;
  for (const nlohmann::json& entry : list) {
    const std::optional<std::string> machine = TextOf(entry, kMachine), uuid = TextOf(entry, kUuid),
                                     replica = TextOf(entry, kReplica);
    if (!machine.has_value() || !uuid.has_value() || !replica.has_value()) return damaged;
    history.push_back({*machine, *uuid, *replica});
  }
  return history;
}

absl::Status WriteLeaseHistory(const std::string& path, const LeaseHistory& history) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PastLease& each : history) {
    list.push_back({{kMachine, each.machine}, {kUuid, each.uuid}, {kReplica, each.replica}});
  }
  // The names that participants give themselves need not be UTF-8.
  const std::string text = list.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return WriteFileAtomically(path, absl::StrCat(text, "\n"));
}

}  // namespace arcshard::coordinator
