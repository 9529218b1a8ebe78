#include "tests/faults/fault_table.h"

#include <algorithm>

namespace arcshard::faults {
namespace {

// Who of the run is meant; which number that is depends on the phase.
enum class Who { kCoordinator, kFirstShard, kLastShard, kFirstWorker, kLastWorker };
using Group = std::vector<Who>;

const Group kCoordinator = {Who::kCoordinator};
const Group kShards = {Who::kFirstShard, Who::kLastShard};
const Group kWorkers = {Who::kFirstWorker, Who::kLastWorker};
const Group kFirstShard = {Who::kFirstShard};
const Group kLastShard = {Who::kLastShard};
const Group kFirstWorker = {Who::kFirstWorker};
const Group kLastWorker = {Who::kLastWorker};
const Group kMembers = {Who::kFirstShard, Who::kLastShard, Who::kFirstWorker, Who::kLastWorker};
const Group kWriters = {Who::kFirstShard, Who::kLastShard, Who::kFirstWorker};  // of parts of a checkpoint

const std::vector<Position> kFour = {Position::kSenderBefore, Position::kSenderAfter, Position::kReceiverBefore,
                                     Position::kReceiverAfter};
const std::vector<Position> kFive = {Position::kSenderBefore, Position::kSenderAfter, Position::kReceiverBefore,
                                     Position::kReceiverAtOnce, Position::kReceiverAfter};

// A message and where it occurs.
struct Row {
  std::string type;
  std::vector<Phase> phases;
  Group from, to;
  std::vector<Position> positions = kFour;
  bool later_piece = false;
};

const std::vector<Phase> kRecoveries = {Phase::kShardRecovery, Phase::kWorkerRecovery, Phase::kCoordinatorRecovery};

std::vector<Row> JoiningRows() {
  std::vector<Phase> all = kRecoveries;
  all.insert(all.end(), {Phase::kStart, Phase::kBrokenLink});
  return {
      {"Attend.register", {Phase::kStart, Phase::kCoordinatorRecovery}, kMembers, kCoordinator},
      {"Attend.register", {Phase::kShardRecovery}, kLastShard, kCoordinator},
      {"Attend.register", {Phase::kWorkerRecovery}, kLastWorker, kCoordinator},
      {"Attend.welcome", {Phase::kStart, Phase::kCoordinatorRecovery}, kCoordinator, kMembers},
      {"Attend.welcome", {Phase::kShardRecovery}, kCoordinator, kLastShard},
      {"Attend.welcome", {Phase::kWorkerRecovery}, kCoordinator, kLastWorker},
      {"Attend.dataset", {Phase::kStart, Phase::kCoordinatorRecovery}, kWorkers, kCoordinator},
      {"Attend.dataset", {Phase::kWorkerRecovery}, kLastWorker, kCoordinator},
      {"Attend.view", all, kCoordinator, kMembers, kFive},
      {"Attend.joined", all, kMembers, kCoordinator},
      {"Attend.install", all, kCoordinator, kMembers, kFive},
      {"Exchange.hello", all, kWorkers, kShards},
      {"Attend.lost_peers", {Phase::kBrokenLink}, kLastWorker, kCoordinator},
      // The last shard asks the first one, whose log is whole.
      {"Replay.ReplayRequest", {Phase::kShardRecovery}, kLastShard, kFirstShard},
      {"Replay.header", {Phase::kShardRecovery}, kFirstShard, kLastShard},
      {"Replay.inputs", {Phase::kShardRecovery}, kFirstShard, kLastShard},
      {"Replay.embedding", {Phase::kShardRecovery}, kFirstShard, kLastShard},
      {"Replay.embedding", {Phase::kShardRecovery}, kFirstShard, kLastShard, kFour, /*later_piece=*/true},
  };
}

std::vector<Row> StepRows() {
  std::vector<Phase> steps = kRecoveries;
  steps.push_back(Phase::kTraining);
  return {
      {"Exchange.labels", {Phase::kTraining}, kWorkers, kShards},
      {"Exchange.embedding", steps, kWorkers, kShards},
      {"Exchange.embedding", {Phase::kTraining}, kWorkers, kShards, kFour, /*later_piece=*/true},
      {"Exchange.ShardMessage", steps, kShards, kWorkers},
      {"Exchange.ShardMessage", {Phase::kTraining}, kShards, kWorkers, kFour, /*later_piece=*/true},
      {"Exchange.gradient", {Phase::kTraining}, kWorkers, kShards},
      {"Attend.ready", steps, kMembers, kCoordinator},
      // A shard that dies at once dies between the decision and the end of pass 2.
      {"Attend.decision", steps, kCoordinator, kMembers, kFive},
      {"Attend.heartbeat", {Phase::kTraining}, kMembers, kCoordinator},
      {"Attend.pulse", {Phase::kTraining}, kCoordinator, kMembers},
      // Nobody survives a failure: only a death that comes before it is.
      {"Attend.failure", {Phase::kFailing}, kMembers, kCoordinator, {Position::kSenderBefore}},
  };
}

std::vector<Row> OtherRows() {
  return {
      {"Attend.decision", {Phase::kCheckpoint, Phase::kVerification, Phase::kStop}, kCoordinator, kMembers, kFive},
      {"Attend.checkpoint", {Phase::kCheckpoint, Phase::kStop}, kWriters, kCoordinator},
      {"Attend.checkpoint_settled", {Phase::kCheckpoint}, kCoordinator, kMembers},
      // It is the last message of a run: members answer with their end.
      {"Attend.checkpoint_settled",
       {Phase::kStop},
       kCoordinator,
       kMembers,
       {Position::kSenderBefore, Position::kSenderAfter, Position::kReceiverBefore, Position::kReceiverAtOnce}},
      {"Exchange.embedding", {Phase::kCheckpoint}, kWorkers, kShards},
      {"Attend.ready", {Phase::kCheckpoint}, kMembers, kCoordinator},
      {"Attend.evaluated", {Phase::kVerification}, kFirstWorker, kCoordinator},
      {"Attend.proceed", {Phase::kVerification, Phase::kStop}, kCoordinator, kMembers, kFive},
      {"Attend.heartbeat", {Phase::kVerification}, kMembers, kCoordinator},
      {"Attend.finished", {Phase::kStop}, kMembers, kCoordinator},
      {"Attend.leaving", {Phase::kLeaving}, kMembers, kCoordinator},
  };
}

std::vector<Row> Table() {
  std::vector<Row> rows = JoiningRows();
  for (const auto& more : {StepRows(), OtherRows()}) rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

Party PartyOf(Who who, Phase phase) {
  const uint32_t last = MembersOfARole(phase) - 1;
  switch (who) {
    case Who::kCoordinator:
      return {Kind::kCoordinator, 0};
    case Who::kFirstShard:
      return {Kind::kShard, 0};
    case Who::kLastShard:
      return {Kind::kShard, last};
    case Who::kFirstWorker:
      return {Kind::kWorker, 0};
    case Who::kLastWorker:
      return {Kind::kWorker, last};
  }
  return {};
}

// The faults of a row in a phase. A victim is killed at its message to, or of, one other; the coordinator at the first
// and at the last member's.
void Append(const Row& row, Phase phase, std::vector<Fault>* faults) {
  for (const Position position : row.positions) {
    const bool sender = KillsSender(position);
    const Group& victims = sender ? row.from : row.to;
    const Group& others = sender ? row.to : row.from;
    for (size_t i = 0; i < victims.size(); ++i) {
      std::set<size_t> picked = {i % others.size()};
      if (victims.size() == 1) picked.insert(others.size() - 1);
      for (const size_t other : picked) {
        const Party victim = PartyOf(victims[i], phase), peer = PartyOf(others[other], phase);
        faults->push_back({row.type, phase, position, sender ? victim : peer, sender ? peer : victim, row.later_piece});
      }
    }
  }
}

}  // namespace

uint32_t MembersOfARole(Phase phase) {
  const bool recovers =
      phase == Phase::kShardRecovery || phase == Phase::kWorkerRecovery || phase == Phase::kCoordinatorRecovery;
  return recovers ? 3 : 2;
}

std::vector<Fault> AllFaults() {
  std::vector<Fault> faults;
  for (const Row& row : Table()) {
    for (const Phase phase : row.phases) Append(row, phase, &faults);
  }
  return faults;
}

std::set<std::string> TypesInTable() {
  std::set<std::string> types;
  for (const Row& row : Table()) types.insert(row.type);
  return types;
}

}  // namespace arcshard::faults
