#include "shard_server/service/worker_streams.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/token.h"

namespace arcshard::shard {
namespace {

absl::Status Replaced(uint32_t worker) {
  return absl::AbortedError(absl::StrCat("worker ", worker, " has opened another stream"));
}

absl::Status Outdated(uint32_t worker) {
  return absl::FailedPreconditionError(
      absl::StrCat("the newest view does not have the worker ", worker, " whose stream this was"));
}

absl::Status NotItsToken(uint32_t worker) {
  return absl::PermissionDeniedError(
      absl::StrCat("the hello of worker ", worker, " does not carry the token that the coordinator gave it"));
}

}  // namespace

// Senders are called without the lock: they have locks of their own.

absl::Status WorkerStreams::Put(Claim claim, const Sender& sender) {
  if (claim.token.size() != kTokenBytes) return NotItsToken(claim.worker);  // and need not be kept
  Sender before;
  {
    MutexLock lock(&mutex_);
    if (claim.view > view_) {
      claims_.insert_or_assign(sender, std::move(claim));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(before, Install(claim, sender));
  }
  claim.on_genuine();
  if (before != nullptr) before->Close(Replaced(claim.worker));
  return absl::OkStatus();
}

absl::StatusOr<WorkerStreams::Sender> WorkerStreams::Install(const Claim& claim, const Sender& sender) {
  const auto token = tokens_.find(claim.worker);
  if (token == tokens_.end()) return Outdated(claim.worker);
  if (!SameToken(token->second, claim.token)) return NotItsToken(claim.worker);
  Proven before = std::exchange(proven_[claim.worker], {sender, claim.token});
  return std::move(before.sender);
}

std::vector<absl::Status> WorkerStreams::Admit(const View& view, Tokens tokens) {
  std::vector<std::pair<Sender, absl::Status>> ending;
  std::vector<std::function<void()>> genuine;
  std::vector<absl::Status> refused;
  {
    MutexLock lock(&mutex_);
    view_ = view;
    tokens_ = std::move(tokens);
    for (auto next = proven_.begin(); next != proven_.end();) {
      const auto at = next++;
      const auto token = tokens_.find(at->first);
      if (token != tokens_.end() && SameToken(token->second, at->second.token)) continue;
      ending.emplace_back(at->second.sender, Outdated(at->first));
      refused.push_back(ending.back().second);
      proven_.erase(at);
    }
    for (auto next = claims_.begin(); next != claims_.end();) {
      const auto at = next++;
      const auto& [sender, claim] = *at;
      if (claim.view > view_) continue;
      absl::StatusOr<Sender> before = Install(claim, sender);
      if (!before.ok()) {
        ending.emplace_back(sender, before.status());
        refused.push_back(before.status());
      } else {
        genuine.push_back(claim.on_genuine);
        if (*before != nullptr) ending.emplace_back(*std::move(before), Replaced(claim.worker));
      }
      claims_.erase(at);
    }
  }
  for (const std::function<void()>& on_genuine : genuine) on_genuine();
  for (const auto& [sender, why] : ending) sender->Close(why);
  return refused;
}

bool WorkerStreams::Has(uint32_t worker, const Sender& sender) {
  MutexLock lock(&mutex_);
  const auto found = proven_.find(worker);
  return found != proven_.end() && found->second.sender == sender;
}

void WorkerStreams::Remove(uint32_t worker, const Sender& sender) {
  MutexLock lock(&mutex_);
  claims_.erase(sender);
  const auto found = proven_.find(worker);
  if (found != proven_.end() && found->second.sender == sender) proven_.erase(found);
}

void WorkerStreams::Send(uint32_t worker, v1::ShardMessage message) {
  if (const Sender sender = Find(worker)) sender->Send(std::move(message));
}

void WorkerStreams::Close(uint32_t worker, const absl::Status& why) {
  if (const Sender sender = Find(worker)) sender->Close(why);
}

WorkerStreams::Sender WorkerStreams::Find(uint32_t worker) {
  MutexLock lock(&mutex_);
  const auto found = proven_.find(worker);
  return found == proven_.end() ? nullptr : found->second.sender;
}

}  // namespace arcshard::shard
