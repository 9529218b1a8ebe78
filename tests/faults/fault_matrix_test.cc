// Deaths at messages: each kind of message of a run, before and after it is sent and handled, wherever it occurs. The
// run survives every one of them without losing a step, and its model has the bits of a run without faults.
//
// A fault is replayed by its name: faults_test --gtest_filter=Sgd/*Attend_ready_Training_SenderBefore_Shard1*
#include "gmock/gmock.h"
#include "tests/faults/fault_table.h"
#include "tests/faults/fault_test.h"
#include "tests/faults/message_types.h"

namespace arcshard::faults {
namespace {

using ::testing::HasSubstr;
using ::testing::TestParamInfo;
using ::testing::UnorderedElementsAreArray;
using ::testing::ValuesIn;

struct Cell {
  Configuration configuration;
  Fault fault;
};

std::ostream& operator<<(std::ostream& out, const Cell& cell) {
  return out << cell.configuration.name << ", " << ToString(cell.fault);
}

std::vector<Cell> CellsOf(const Configuration& configuration) {
  std::vector<Cell> cells;
  for (const Fault& fault : AllFaults()) {
    if (fault.later_piece == configuration.large_tensors) cells.push_back({configuration, fault});
  }
  return cells;
}

// A choice that takes a minute: each victim, in each phase and position, at messages that matter most there.
std::vector<Cell> SomeCells() {
  const std::vector<std::string> chosen = {
      "Attend_register_Start_SenderAfter_Worker0_Coordinator",
      "Attend_decision_Training_SenderAfter_Coordinator_Shard0",
      "Attend_decision_Training_ReceiverAtOnce_Coordinator_Shard1",
      "Attend_ready_Training_ReceiverAfter_Worker1_Coordinator",
      "Exchange_ShardMessage_Training_SenderBefore_Shard0_Worker0",
      "Attend_checkpoint_Checkpoint_SenderBefore_Worker0_Coordinator",
      "Attend_checkpoint_settled_Checkpoint_SenderAfter_Coordinator_Shard0",
      "Attend_evaluated_Verification_ReceiverBefore_Worker0_Coordinator",
      "Replay_inputs_ShardRecovery_SenderAfter_Shard0_Shard2",
      "Attend_view_WorkerRecovery_ReceiverAfter_Coordinator_Worker0",
      "Attend_joined_CoordinatorRecovery_SenderAfter_Shard0_Coordinator",
      "Attend_finished_Stop_ReceiverAfter_Worker1_Coordinator",
      "Attend_finished_Stop_SenderBefore_Shard1_Coordinator",
  };
  std::vector<Cell> cells;
  for (const Fault& fault : AllFaults()) {
    const bool is_chosen = std::find(chosen.begin(), chosen.end(), ToString(fault)) != chosen.end();
    if (is_chosen) cells.push_back({Configurations()[cells.size() % Configurations().size()], fault});
  }
  EXPECT_EQ(cells.size(), chosen.size());
  return cells;
}

std::string NameOf(const TestParamInfo<Cell>& cell) { return ToString(cell.param.fault); }

class FaultMatrixTest : public FaultTest, public ::testing::WithParamInterface<Cell> {};

TEST_P(FaultMatrixTest, TheRunSurvivesLosesNoStepAndHasTheSameModel) {
  const auto& [configuration, fault] = GetParam();
  const uint32_t members = MembersOfARole(fault.phase);
  FaultInspector inspector(fault, members - 1, members - 1);
  FaultRun run = NewRun(configuration, members);
  // Where the run verifies at its end, Proceed tells members to stop, and not the last decision.
  run.verifies = fault.phase != Phase::kStop || fault.type == "Attend.proceed";
  const Outcome outcome = ExpectSurvives(run, &inspector);
  EXPECT_TRUE(inspector.struck()) << "the message did not occur there";
  EXPECT_THAT(outcome.news, HasSubstr("was killed by signal 9"));
}

INSTANTIATE_TEST_SUITE_P(Some, FaultMatrixTest, ValuesIn(SomeCells()), NameOf);
INSTANTIATE_TEST_SUITE_P(Sgd, FaultMatrixTest, ValuesIn(CellsOf(Configurations()[0])), NameOf);
INSTANTIATE_TEST_SUITE_P(AdamW, FaultMatrixTest, ValuesIn(CellsOf(Configurations()[1])), NameOf);
INSTANTIATE_TEST_SUITE_P(Bfloat16, FaultMatrixTest, ValuesIn(CellsOf(Configurations()[2])), NameOf);
INSTANTIATE_TEST_SUITE_P(LargeTensors, FaultMatrixTest, ValuesIn(CellsOf(WithLargeTensors())), NameOf);

TEST(FaultTableTest, EveryKindOfMessageHasARow) {
  const std::vector<std::string> types = AllMessageTypes();
  EXPECT_THAT(TypesInTable(), UnorderedElementsAreArray(types));
}

}  // namespace
}  // namespace arcshard::faults
