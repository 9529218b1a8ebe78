#include "shard_server/head/cuda/testing/host_warp.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>

#include "shard_server/head/cuda/testing/host_gpu.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace arcshard::head {
namespace {

constexpr size_t kStackBytes = size_t{128} << 10;

// AddressSanitizer has to know which stack is in use.
#ifdef __SANITIZE_ADDRESS__
void BeforeSwitch(void** fake_stack, const void* bottom, size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
void AfterSwitch(void* fake_stack, const void** bottom, size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
}
#else
void BeforeSwitch(void**, const void*, size_t) {}
void AfterSwitch(void*, const void**, size_t*) {}
#endif

class Scheduler;

// A stack that runs one body after the other. makecontext starts it; from then on longjmp changes between stacks, since
// swapcontext would call the kernel each time to set the mask of signals.
class Lane {
 public:
  enum class State { kIdle, kRunning, kExchanging };

  void Start(Scheduler* scheduler);
  void Resume();  // called by the scheduler: returns when the lane yields
  void Yield();   // called by the lane
  [[noreturn]] void Loop();

  State state = State::kIdle;
  unsigned exchanges = 0;  // of the body that runs

 private:
  Scheduler* scheduler_ = nullptr;
  std::unique_ptr<char[]> stack_;
  bool started_ = false;
  ucontext_t first_;
  jmp_buf lane_, caller_;
  void* fake_stack_ = nullptr;
  void* fake_stack_of_caller_ = nullptr;
  const void* caller_bottom_ = nullptr;
  size_t caller_bytes_ = 0;
};

class Scheduler {
 public:
  Scheduler() {
    for (Lane& lane : lanes_) lane.Start(this);
  }

  void Run(absl::FunctionRef<void(unsigned)> enter, absl::FunctionRef<void()> body) {
    body_ = &body;
    for (Lane& lane : lanes_) {
      lane.state = Lane::State::kRunning;
      lane.exchanges = 0;
    }
    do {
      for (current_ = 0; current_ < HostWarp::kLanes; ++current_) {
        enter(current_);
        lanes_[current_].Resume();
      }
      const auto exchanging = std::count_if(lanes_.begin(), lanes_.end(),
                                            [](const Lane& lane) { return lane.state == Lane::State::kExchanging; });
      Require(exchanging == 0 || exchanging == HostWarp::kLanes,
              "all lanes of a warp exchange values, or none does while others end");
    } while (lanes_[0].state == Lane::State::kExchanging);
  }

  // Lanes run ahead of each other by one exchange at most, so two sets of values suffice.
  const HostWarp::Values& Exchange(uint64_t value) {
    Lane& lane = lanes_[current_];
    HostWarp::Values& values = values_[lane.exchanges++ % 2];
    values[current_] = value;
    lane.state = Lane::State::kExchanging;
    lane.Yield();
    return values;
  }

  void RunBody() { (*body_)(); }

 private:
  std::array<Lane, HostWarp::kLanes> lanes_;
  std::array<HostWarp::Values, 2> values_ = {};
  unsigned current_ = 0;
  absl::FunctionRef<void()>* body_ = nullptr;
};

thread_local Lane* starting = nullptr;

void Begin() { starting->Loop(); }

void Lane::Start(Scheduler* scheduler) {
  scheduler_ = scheduler;
  stack_.reset(new char[kStackBytes]);
  Require(getcontext(&first_) == 0, "getcontext works");
  first_.uc_stack.ss_sp = stack_.get();
  first_.uc_stack.ss_size = kStackBytes;
  makecontext(&first_, Begin, 0);
}

void Lane::Resume() {
  if (_setjmp(caller_) == 0) {
    BeforeSwitch(&fake_stack_of_caller_, stack_.get(), kStackBytes);
    if (started_) _longjmp(lane_, 1);
    started_ = true;
    starting = this;
    setcontext(&first_);
  }
  AfterSwitch(fake_stack_of_caller_, nullptr, nullptr);
}

void Lane::Yield() {
  if (_setjmp(lane_) == 0) {
    BeforeSwitch(&fake_stack_, caller_bottom_, caller_bytes_);
    _longjmp(caller_, 1);
  }
  AfterSwitch(fake_stack_, &caller_bottom_, &caller_bytes_);
}

void Lane::Loop() {
  AfterSwitch(nullptr, &caller_bottom_, &caller_bytes_);
  for (;;) {
    scheduler_->RunBody();
    state = State::kIdle;
    Yield();
  }
}

Scheduler& OfThisThread() {
  thread_local Scheduler scheduler;
  return scheduler;
}

}  // namespace

void HostWarp::Run(absl::FunctionRef<void(unsigned)> enter, absl::FunctionRef<void()> body) {
  OfThisThread().Run(enter, body);
}

const HostWarp::Values& HostWarp::Exchange(unsigned mask, uint64_t value) {
  Require(mask == 0xffffffffu, "a lane exchanges values with its whole warp");
  return OfThisThread().Exchange(value);
}

}  // namespace arcshard::head
