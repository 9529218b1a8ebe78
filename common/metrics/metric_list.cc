#include "common/metrics/metric_list.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/this_process.h"

namespace arcshard {
namespace {

// In a trace, behind the coordinator.
constexpr int kFirstShardPlace = 1;
constexpr int kFirstWorkerPlace = 1'000'000;

// The space of the file system that `folder` is or will be in: that of the deepest folder of its path that exists.
std::filesystem::space_info SpaceUnder(std::filesystem::path folder) {
  std::error_code error;
  while (folder.has_relative_path() && !std::filesystem::exists(folder, error)) folder = folder.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(folder.empty() ? "." : folder, error);
  return error ? std::filesystem::space_info{0, 0, 0} : space;
}

}  // namespace

ProcessMetrics::ProcessMetrics(MetricRegistry* registry_for_all, Tracer* trace)
    : registry(registry_for_all), tracer(trace) {
  for (const absl::string_view outcome : {kCommitted, kSkipped}) steps.With(outcome);
  for (const absl::string_view direction : {kSent, kReceived}) {
    messages.With(direction);
    message_bytes.With(direction);
  }
  for (const absl::string_view reason : kRefusals) refused_messages.With(reason);
  build_info.With(BuildVersion()).Set(1);
  registry->BeforeScrape([&memory = device_memory.With(kCpu)] { memory.Set(static_cast<double>(ResidentBytes())); });
}

void ProcessMetrics::SetMember(absl::string_view role, std::optional<uint32_t> number) {
  member_info.With(role).Set(number.has_value() ? 0 : 1);
  if (number.has_value()) member_info.With(absl::StrCat(role, " ", *number)).Set(1);
  if (tracer == nullptr) return;
  if (role == kCoordinatorRole) tracer->NameProcess(std::string(role), 0);
  const int place = role == kShardRole ? kFirstShardPlace : kFirstWorkerPlace;
  if (number.has_value()) tracer->NameProcess(absl::StrCat(role, " ", *number), place + static_cast<int>(*number));
}

void ProcessMetrics::WatchDisk(const std::string& folder) {
  registry->BeforeScrape([this, folder] {
    const std::filesystem::space_info space = SpaceUnder(folder);
    disk_free.Set(static_cast<double>(space.available));
    disk_size.Set(static_cast<double>(space.capacity));
  });
}

CoordinatorMetrics::CoordinatorMetrics(MetricRegistry* registry_for_all, Tracer* trace)
    : ProcessMetrics(registry_for_all, trace) {
  SetMember(kCoordinatorRole);
  for (const absl::string_view role : {kShardRole, kWorkerRole}) {
    members.With(role);
    expected_members.With(role);
  }
  for (const absl::string_view outcome : {kCheckpointComplete, kCheckpointFailed}) checkpoints.With(outcome);
  for (const absl::string_view role : {kShardRole, kWorkerRole, kCoordinatorRole}) recoveries.With(role);
}

ShardMetrics::ShardMetrics(MetricRegistry* registry_for_all, Tracer* trace) : ProcessMetrics(registry_for_all, trace) {
  SetMember(kShardRole);
  for (const absl::string_view queue : {kPass1Queue, kEarlyQueue}) queue_depth.With(queue);
}

WorkerMetrics::WorkerMetrics(MetricRegistry* registry_for_all, Tracer* trace)
    : ProcessMetrics(registry_for_all, trace) {
  SetMember(kWorkerRole);
  queue_depth.With(kDecodedQueue);
}

}  // namespace arcshard
