#include "coordinator/run/run_output.h"

#include <cassert>
#include <utility>

namespace arcshard::coordinator {
namespace {

// One overload for each kind of output.
class Delivery {
 public:
  explicit Delivery(const RunReceivers& receivers) : to_(receivers) {}

  void operator()(const SendMessage& output) const { to_.outbox->Send(output.to, output.message); }
  void operator()(const CloseStream& output) const { to_.outbox->Close(output.to, output.status); }
  void operator()(const Progress& output) const { to_.progress->Report(output); }
  void operator()(const Note& output) const { to_.progress->Note(output.sentence); }
  void operator()(const CameOrWent& output) const { to_.progress->CameOrWent(output.sentence); }
  void operator()(const ViewFormed& output) const { to_.progress->ViewFormed(output.view); }
  void operator()(const StepSummary& output) const { to_.progress->StepDecided(output); }
  void operator()(const CheckpointSummary& output) const { to_.progress->CheckpointSettled(output); }
  void operator()(CompleteCheckpoint& output) const {
    assert(to_.keeper != nullptr);
    to_.keeper->Complete(output.folder, std::move(output.manifest));
  }
  void operator()(const AbandonCheckpoint& output) const {
    assert(to_.keeper != nullptr);
    to_.keeper->Abandon(output.folder);
  }
  void operator()(const DeleteSuperseded&) const {
    assert(to_.keeper != nullptr);
    to_.keeper->DeleteSuperseded();
  }
  void operator()(const RecoverySummary& output) const { to_.progress->Recovered(output); }
  void operator()(const AnswerCheckpoint& output) const { output.answer(output.taken); }
  void operator()(const KeepLeaseHistory& output) const {
    if (to_.keep_lease_history) to_.keep_lease_history(output.history);
  }

 private:
  const RunReceivers& to_;
};

}  // namespace

void Deliver(RunOutputs outputs, const RunReceivers& receivers) {
  assert(receivers.outbox != nullptr && receivers.progress != nullptr);
  const Delivery delivery(receivers);
  for (RunOutput& output : outputs) std::visit(delivery, output);
}

}  // namespace arcshard::coordinator
