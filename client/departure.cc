#include "client/departure.h"

#include "client/participant.h"

namespace arcshard::client {

bool Departure::Announce(const std::string& reason) {
  MutexLock lock(&mutex_);
  if (participant_ != nullptr) participant_->Send(LeavingReport{reason});
  return begun_;
}

void Departure::Begin(Participant* participant) {
  MutexLock lock(&mutex_);
  begun_ = true;
  participant_ = participant;
}

void Departure::End() {
  MutexLock lock(&mutex_);
  participant_ = nullptr;
}

}  // namespace arcshard::client
