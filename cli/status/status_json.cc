#include "cli/status/status_json.h"

#include <cctype>

#include "absl/strings/str_cat.h"
#include "cli/status/status_text.h"

namespace arcshard::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;

// PHASE_TRAINING -> "training".
std::string PhaseName(v1::Progress::Phase phase) {
  std::string name = v1::Progress::Phase_Name(phase);
  name.erase(0, sizeof("PHASE_") - 1);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

Json PhasesOf(const google::protobuf::RepeatedPtrField<v1::PhaseTime>& phases) {
  Json all = Json::object();
  for (const v1::PhaseTime& phase : phases) {
    all[phase.name()] = {{"count", phase.count()}, {"seconds", phase.seconds()}};
  }
  return all;
}

Json MemberOf(const v1::MemberStatus& member) {
  const bool shard = member.role() == v1::ROLE_SHARD;
  Json json = {{"role", shard ? "shard" : "worker"},
               {"id", member.id()},
               {"address", member.address()},
               {"host", member.host()},
               {"pid", member.pid()},
               {"attending_seconds", member.attending_seconds()},
               {"silent_seconds", member.silent_seconds()},
               {"resident_bytes", member.resident_bytes()}};
  if (shard) {
    json["range"] = {member.range().begin(), member.range().end()};
    json["capacity_bytes"] = member.capacity_bytes();
    json["held_bytes"] = member.held_bytes();
  }
  json["phases"] = PhasesOf(member.phases());
  json["recent_phases"] = PhasesOf(member.recent_phases());
  return json;
}

Json SetOf(const v1::Verification& set) {
  Json rates = Json::array();
  for (const v1::AcceptRate& rate : set.accept_rates()) {
    rates.push_back({{"far", rate.far()}, {"tar", rate.tar()}, {"false_accepts", rate.false_accepts()}});
  }
  return {{"name", set.name()},
          {"accuracy", set.accuracy()},
          {"std", set.std()},
          {"threshold", set.threshold()},
          {"xnorm", set.xnorm()},
          {"pairs", set.pairs()},
          {"overall_accuracy", set.overall_accuracy()},
          {"overall_threshold", set.overall_threshold()},
          {"different_pairs", set.different_pairs()},
          {"accept_rates", rates}};
}

}  // namespace

Json ProgressObject(const v1::Progress& progress) {
  Json sets = Json::array();
  for (const v1::Verification& set : progress.verification()) sets.push_back(SetOf(set));
  return {{"phase", PhaseName(progress.phase())},
          {"waiting_for", progress.waiting_for()},
          {"step", progress.step()},
          {"steps", progress.steps()},
          {"epoch", progress.epoch()},
          {"epochs", progress.epochs()},
          {"loss", progress.loss()},
          {"target_cosine", progress.target_cosine()},
          {"lr", progress.lr()},
          {"samples_per_second", progress.samples_per_second()},
          {"eta_seconds", progress.eta_seconds()},
          {"skipped", progress.skipped()},
          {"corrupt_records", progress.corrupt_records()},
          {"verification", sets},
          {"verification_step", progress.verification_step()},
          {"best_accuracy", progress.best_accuracy()},
          {"best_step", progress.best_step()},
          {"resumed_step", progress.resumed_step()},
          {"checkpoint_step", progress.checkpoint_step()},
          {"checkpoint_failure", progress.checkpoint_failure()},
          {"verification_failure", progress.verification_failure()},
          {"verified_images", progress.verified_images()},
          {"images_to_verify", progress.images_to_verify()},
          {"recoveries", progress.recoveries()},
          {"last_recovery", progress.last_recovery()},
          {"lost_steps", progress.lost_steps()},
          {"recoverable", progress.recoverable()}};
}

std::string StatusDocument(const Json& all) {
  return all.dump(kIndent, ' ', false, Json::error_handler_t::replace) + "\n";  // a path need not be UTF-8
}

std::string StatusJson(const v1::RunStatus& status, const std::string& coordinator) {
  Json members = Json::array();
  for (const v1::MemberStatus& member : status.members()) members.push_back(MemberOf(member));
  const v1::MemberStatus& process = status.coordinator();
  const Json all = {{"run_folder", status.run_folder()},
                    {"coordinator",
                     {{"address", coordinator},
                      {"host", process.host()},
                      {"pid", process.pid()},
                      {"resident_bytes", process.resident_bytes()},
                      {"phases", PhasesOf(process.phases())}}},
                    {"view", {status.view().incarnation(), status.view().counter()}},
                    {"num_classes", status.num_classes()},
                    {"checkpoint_age_seconds", status.checkpoint_age_seconds()},
                    {"progress", ProgressObject(status.progress())},
                    {"members", members}};
  return StatusDocument(all);
}

}  // namespace arcshard::cli
