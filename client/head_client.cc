#include "client/head_client.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::client {
namespace {

// Adds one shard's answer to the sum. False: its shapes are wrong, or it owns a class that another shard owns.
bool AddTo(const ShardStatistics& part, size_t batch, int64_t dim, SummedStatistics* sum, std::vector<bool>* owned) {
  if (part.z.size() != batch || part.u.size() != batch * dim || part.own_centers.size() != part.own_rows.size() * dim)
    return false;
  for (size_t i = 0; i < batch; ++i) sum->z[i] += part.z[i];
  for (size_t i = 0; i < part.u.size(); ++i) sum->u[i] += part.u[i];
  for (size_t i = 0; i < part.own_rows.size(); ++i) {
    const uint32_t row = part.own_rows[i];
    if (row >= batch || (*owned)[row]) return false;
    (*owned)[row] = true;
    std::copy_n(part.own_centers.begin() + i * dim, dim, sum->own_centers.begin() + row * dim);
  }
  return true;
}

}  // namespace

void HeadClient::SendLabels(const Key& key, absl::Span<const int64_t> labels) {
  for (const Link& to : links_) to.link->SendLabels(key, labels);
}

void HeadClient::SendEmbedding(const Key& key, absl::Span<const float> embedding) {
  assert(!links_.empty() && embedding.size() % dim_ == 0);
  {
    MutexLock lock(&mutex_);
    std::unique_ptr<Pending> pending;
    if (spare_.empty()) {
      pending = std::make_unique<Pending>();
    } else {
      pending = std::move(spare_.back());
      spare_.pop_back();
    }
    pending->key = key;
    pending->batch = embedding.size() / dim_;
    pending->missing = links_.size();
    pending->shards.resize(links_.size());
    pending->answered.assign(links_.size(), false);
    std::unique_ptr<Pending>& place = pending_[key.micro_batch];
    if (place == nullptr || place->missing == 0) ++unanswered_;
    place = std::move(pending);
    ShowInFlight();
  }
  for (const Link& to : links_) to.link->SendEmbedding(key, embedding);
}

void HeadClient::SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t) {
  for (const Link& to : links_) to.link->SendGradient(key, r, t);
}

absl::StatusOr<SummedStatistics> HeadClient::Await(const Key& key) {
  std::unique_ptr<Pending> pending;
  {
    MutexLock lock(&mutex_);
    const auto found = pending_.find(key.micro_batch);
    if (found == pending_.end() || !(found->second->key == key)) {
      return absl::InternalError(absl::StrCat("no embedding was sent for ", ToString(key)));
    }
    if (found->second->missing > 0) {
      awaited_ = found->second.get();
      awaited_since_ = clock_->Now();
    }
    while (status_.ok() && found->second->missing > 0) changed_.Wait(&mutex_);
    awaited_ = nullptr;
    if (!status_.ok()) return status_;
    pending = std::move(found->second);
    pending_.erase(found);
  }
  SummedStatistics sum;
  sum.z.resize(pending->batch);
  sum.u.resize(pending->batch * dim_);
  sum.own_centers.resize(pending->batch * dim_);
  std::vector<bool> owned(pending->batch);
  for (size_t shard = 0; shard < pending->shards.size(); ++shard) {
    if (!AddTo(pending->shards[shard], pending->batch, dim_, &sum, &owned)) {
      return absl::DataLossError(absl::StrCat("shard ", links_[shard].shard, " answered ", ToString(key),
                                              " with statistics of a wrong shape, or a sample's class has two owners"));
    }
  }
  if (const auto orphan = std::find(owned.begin(), owned.end(), false); orphan != owned.end()) {
    return absl::DataLossError(
        absl::StrCat("no shard owns the class of sample ", orphan - owned.begin(), " of ", ToString(key)));
  }
  MutexLock lock(&mutex_);
  spare_.push_back(std::move(pending));
  return sum;
}

void HeadClient::Abort(const absl::Status& status) {
  MutexLock lock(&mutex_);
  AbortWith(status);
}

void HeadClient::AbortWith(const absl::Status& status) {
  assert(!status.ok());
  if (status_.ok()) status_ = status;
  changed_.NotifyAll();
}

Waiting HeadClient::waiting() const {
  MutexLock lock(&mutex_);
  Waiting waiting;
  if (awaited_ == nullptr) return waiting;
  for (size_t i = 0; i < links_.size(); ++i) {
    if (!awaited_->answered[i]) waiting.shards.push_back(links_[i].shard);
  }
  waiting.since = awaited_since_;
  return waiting;
}

std::vector<uint32_t> HeadClient::lost() const {
  MutexLock lock(&mutex_);
  return lost_;
}

void HeadClient::OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) {
  MutexLock lock(&mutex_);
  const auto found = pending_.find(key.micro_batch);
  if (found == pending_.end() || !(found->second->key == key))
    return;  // the second answer to one request, or an answer of an earlier view
  Pending& pending = *found->second;
  const auto link = std::find_if(links_.begin(), links_.end(), [shard](const Link& one) { return one.shard == shard; });
  assert(link != links_.end());
  const size_t place = link - links_.begin();
  if (pending.answered[place]) return;
  pending.answered[place] = true;
  if (awaited_ == &pending) {
    link->waits.Add("wait", awaited_since_, link->waits.Now(), {.step = key.step, .micro_batch = key.micro_batch});
  }
  std::swap(pending.shards[place], *statistics);
  if (--pending.missing > 0) return;
  --unanswered_;
  ShowInFlight();
  changed_.NotifyAll();
}

void HeadClient::ShowInFlight() {
  if (in_flight_ != nullptr) in_flight_->Set(static_cast<double>(unanswered_));
}

void HeadClient::OnLost(size_t shard, const absl::Status& status) {
  MutexLock lock(&mutex_);
  const uint32_t id = static_cast<uint32_t>(shard);
  if (std::find(lost_.begin(), lost_.end(), id) == lost_.end()) lost_.push_back(id);
  AbortWith(absl::Status(status.code(), absl::StrCat("shard ", shard, ": ", std::string(status.message()))));
}

}  // namespace arcshard::client
