#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/simulation/virtual_time.h"

namespace arcshard::simulation {

// One life of a process: what happens to it happens only while it lives, and is put off while it is stopped (SIGSTOP).
class Process {
 public:
  explicit Process(std::string host) : host_(std::move(host)) {}
  virtual ~Process() = default;

  const std::string& host() const { return host_; }
  bool alive() const { return alive_; }
  bool stopped() const { return stopped_; }

  void Do(const std::function<void()>& what) {
    if (!alive_) return;
    if (stopped_) {
      put_off_.push_back(what);
    } else {
      what();
    }
  }
  void Die() {
    if (!alive_) return;
    alive_ = false;
    put_off_.clear();
    for (const auto& on_death : std::exchange(on_death_, {})) on_death();
  }
  void Stop() { stopped_ = true; }
  void Continue() {
    stopped_ = false;
    for (const auto& what : std::exchange(put_off_, {})) Do(what);
  }
  void OnDeath(std::function<void()> what) { on_death_.push_back(std::move(what)); }

 private:
  const std::string host_;
  bool alive_ = true;
  bool stopped_ = false;
  std::vector<std::function<void()>> put_off_;
  std::vector<std::function<void()>> on_death_;
};

// What all processes of a simulated cluster share: time, chance, who listens where, and which links are cut.
class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  VirtualTime* time() { return &time_; }

  uint64_t Draw(uint64_t below) { return random_() % below; }
  // How long a message takes: mostly short, sometimes long.
  absl::Duration Delay() {
    const uint64_t micros = Draw(20) == 0 ? Draw(200000) : Draw(2000);
    return absl::Microseconds(50 + micros) + slowness_;
  }
  void Slow(absl::Duration by) { slowness_ = by; }

  // Plans what `process` does later. It does not happen if that life has ended; null: it has, and is forgotten.
  void Later(const std::shared_ptr<Process>& process, absl::Duration delay, std::function<void()> what) {
    if (process == nullptr) return;
    time_.After(delay, [process, what = std::move(what)] { process->Do(what); });
  }

  // Packets between the two hosts vanish until Heal.
  void Cut(const std::string& a, const std::string& b) { cut_.insert(Link(a, b)); }
  void Heal() {
    cut_.clear();
    for (const auto& [key, on_heal] : std::exchange(on_heal_, {})) on_heal();
  }
  bool IsCut(const std::string& a, const std::string& b) const { return cut_.contains(Link(a, b)); }
  void OnHeal(std::function<void()> what) { on_heal_.emplace(++heals_, std::move(what)); }

 private:
  static std::pair<std::string, std::string> Link(const std::string& a, const std::string& b) {
    return a < b ? std::make_pair(a, b) : std::make_pair(b, a);
  }

  VirtualTime time_;
  std::mt19937_64 random_;
  absl::Duration slowness_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::map<uint64_t, std::function<void()>> on_heal_;
  uint64_t heals_ = 0;
};

}  // namespace arcshard::simulation
