#include "worker/view/view_joiner.h"

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ATen/ops/equal.h"
#include "absl/strings/str_cat.h"
#include "c10/core/GradMode.h"
#include "common/base/failure_details.h"
#include "common/base/testing/fake_clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/formats/synthetic_dataset.h"
#include "worker/training/all_reduce/rendezvous.h"
#include "worker/training/checkpoint_writer.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;
using Source = WorkerProtocol::Source;

constexpr int64_t kClasses = 30;
const StatePoint kBase{17, 4711};

// A worker that joins views without shards.
class JoiningWorker {
 public:
  JoiningWorker(const RunConfig& config, uint32_t id) : config_(config), id_(id) {
    ViewJoiner::Options options;
    options.config = &config_;
    options.dataset = dataset_.get();
    options.clock = &clock_;
    options.phases = &phases_;
    options.metrics = &metrics_;
    options.connections = &connections_;
    options.interface = "127.0.0.1";
    joiner_ = std::make_unique<ViewJoiner>(options);
  }

  absl::Status Join(const ViewAnnouncement& view, Source source, std::optional<size_t> sender = std::nullopt) {
    restored_ = 0;
    size_t position = 0;
    while (view.workers[position].id != id_) ++position;
    return joiner_->Join({view, position, source, sender}, {id_, "token"}, [this] { ++restored_; }).status();
  }

  ViewJoiner& joiner() { return *joiner_; }
  FlatState State() { return Flatten(joiner_->trainer()->state()); }
  // As training does.
  void Change() {
    c10::NoGradGuard no_grad;
    for (const NamedTensor& named : joiner_->trainer()->backbone()->state_dict()) named.tensor.add_(id_ + 1);
  }
  int restored() const { return restored_; }  // how often it was told in the last Join
  void Interrupt(const absl::Status& status) { interruption_ = status; }

 private:
  const RunConfig config_;
  const uint32_t id_;
  const std::unique_ptr<SyntheticDataset> dataset_ = *SyntheticDataset::Create(48, kClasses, 1);
  FakeClock clock_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  WorkerPhases phases_{&metrics_};
  absl::Status interruption_;
  client::AbortableSlot<ViewConnections> connections_{[this] { return interruption_; }};
  int restored_ = 0;
  std::unique_ptr<ViewJoiner> joiner_;
};

void ExpectSame(const FlatState& got, const FlatState& want) {
  EXPECT_TRUE(at::equal(got.floats, want.floats));
  EXPECT_TRUE(at::equal(got.integers, want.integers));
}

class ViewJoinerTest : public ::testing::Test {
 protected:
  ViewJoinerTest()
      : folder_(absl::StrCat(::testing::TempDir(), "/view_joiner_test_",
                             ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(folder_);
    config_.data.image_size = 16;
    config_.data.batch_size = 16;
    config_.data.micro_batch_size = 8;
    config_.backbone.name = "iresnet18";
    config_.backbone.width = 2;
    config_.backbone.embedding_size = 8;
    config_.optimizer.kind = "adamw";
    auto rendezvous = Rendezvous::Listen("127.0.0.1");
    EXPECT_TRUE(rendezvous.ok()) << rendezvous.status();
    rendezvous_ = *std::move(rendezvous);
  }
  ~ViewJoinerTest() override { std::filesystem::remove_all(folder_); }

  ViewAnnouncement ViewOf(uint64_t counter, const std::vector<uint32_t>& workers) const {
    ViewAnnouncement view;
    view.view = {1, counter};
    view.num_classes = kClasses;
    for (const uint32_t id : workers) view.workers.push_back({.id = id, .rendezvous = rendezvous_->address()});
    return view;
  }
  // The same from the checkpoint.
  ViewAnnouncement Resumed(uint64_t counter, const StatePoint& base) const {
    ViewAnnouncement view = ViewOf(counter, {0});
    view.state = view.base = base;
    view.checkpoint = folder_;
    return view;
  }

  // Makes `state` the complete checkpoint of kBase.
  void Save(const WorkerState& state) {
    FakeClock clock;
    MetricRegistry registry;
    WorkerMetrics metrics(&registry);
    CheckpointReport written;
    CheckpointWriter writer({.files = RealFileSystem(),
                             .clock = &clock,
                             .metrics = &metrics,
                             .report = [&](const CheckpointReport& report) { written = report; }});
    writer.Begin({{1, 1}, kBase.step, folder_}, state);
    writer.Await();
    ASSERT_TRUE(written.status.ok()) << written.status;
    Manifest manifest;
    manifest.step = kBase.step;
    manifest.lineage = kBase.lineage;
    manifest.incarnation = 1;
    manifest.num_classes = kClasses;
    manifest.embedding_size = config_.backbone.embedding_size;
    manifest.files = written.files;
    const absl::Status status = WriteManifest(RealFileSystem(), folder_, manifest);
    ASSERT_TRUE(status.ok()) << status;
  }

  const std::string folder_;
  RunConfig config_;
  std::unique_ptr<Rendezvous> rendezvous_;
};

TEST_F(ViewJoinerTest, TheFirstWeightsAreTheSameHoweverOftenTheyAreMade) {
  JoiningWorker worker(config_, 0), another(config_, 0);
  ASSERT_TRUE(worker.Join(ViewOf(1, {0}), Source::kBase).ok());
  EXPECT_EQ(worker.restored(), 1);
  const FlatState first = worker.State();
  worker.Change();
  ASSERT_TRUE(worker.Join(ViewOf(2, {0}), Source::kBase).ok());
  ExpectSame(worker.State(), first);
  ASSERT_TRUE(another.Join(ViewOf(1, {0}), Source::kBase).ok());
  ExpectSame(another.State(), first);
}

TEST_F(ViewJoinerTest, AStateThatIsHeldIsKeptFromViewToView) {
  JoiningWorker worker(config_, 0);
  ASSERT_TRUE(worker.Join(ViewOf(1, {0}), Source::kBase).ok());
  worker.Change();
  const FlatState before = worker.State();
  Trainer* const trainer = worker.joiner().trainer();
  ASSERT_TRUE(worker.Join(ViewOf(2, {0}), Source::kKeep).ok());
  EXPECT_EQ(worker.restored(), 1);
  EXPECT_EQ(worker.joiner().trainer(), trainer);
  EXPECT_EQ(worker.joiner().seat().view.view, (View{1, 2}));
  ExpectSame(worker.State(), before);
}

TEST_F(ViewJoinerTest, ACheckpointIsRestoredWhateverWasHeldBefore) {
  JoiningWorker worker(config_, 0);
  ASSERT_TRUE(worker.Join(ViewOf(1, {0}), Source::kBase).ok());
  worker.Change();
  const FlatState saved = worker.State();
  Save(worker.joiner().trainer()->state());
  worker.Change();
  ASSERT_TRUE(worker.Join(Resumed(2, kBase), Source::kBase).ok());
  ExpectSame(worker.State(), saved);
  JoiningWorker fresh(config_, 0);
  ASSERT_TRUE(fresh.Join(Resumed(2, kBase), Source::kBase).ok());
  ExpectSame(fresh.State(), saved);
}

TEST_F(ViewJoinerTest, ACheckpointOfAnotherStateIsRefusedAndADamagedOneIsBlamed) {
  JoiningWorker worker(config_, 0);
  ASSERT_TRUE(worker.Join(ViewOf(1, {0}), Source::kBase).ok());
  Save(worker.joiner().trainer()->state());
  absl::Status status = worker.Join(Resumed(2, {kBase.step + 1, kBase.lineage}), Source::kBase);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is of step 17, but the run resumes after step 18"));
  status = worker.Join(Resumed(3, {kBase.step, kBase.lineage + 1}), Source::kBase);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("other decisions"));
  EXPECT_EQ(worker.restored(), 0);
  std::filesystem::remove(absl::StrCat(folder_, "/", kOptimizerFile));
  status = worker.Join(Resumed(4, kBase), Source::kBase);
  EXPECT_EQ(DetailsOf(status).cause, FailureCause::kCheckpointUnreadable) << status;
}

TEST_F(ViewJoinerTest, ANewWorkerCopiesTheStateOfTheSenderAndTheOthersKeepTheirs) {
  JoiningWorker first(config_, 0), second(config_, 3), third(config_, 8);
  ASSERT_TRUE(second.Join(ViewOf(1, {3}), Source::kBase).ok());
  second.Change();
  ASSERT_TRUE(third.Join(ViewOf(1, {8}), Source::kBase).ok());
  third.Change();  // to another state, which shows that it stays
  const FlatState seconds = second.State(), thirds = third.State();
  const ViewAnnouncement view = ViewOf(2, {0, 3, 8});
  std::vector<std::thread> threads;
  threads.emplace_back([&] { EXPECT_EQ(first.Join(view, Source::kCopy, 1), absl::OkStatus()); });
  threads.emplace_back([&] { EXPECT_EQ(second.Join(view, Source::kKeep, 1), absl::OkStatus()); });
  threads.emplace_back([&] { EXPECT_EQ(third.Join(view, Source::kKeep, 1), absl::OkStatus()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(first.restored(), 1);
  ExpectSame(first.State(), seconds);
  ExpectSame(second.State(), seconds);
  ExpectSame(third.State(), thirds);
}

TEST_F(ViewJoinerTest, AnInterruptionEndsTheJoiningAndWhatWasRestoredStays) {
  JoiningWorker worker(config_, 0);
  const absl::Status interruption = absl::CancelledError("another view is queued");
  worker.Interrupt(interruption);
  EXPECT_EQ(worker.Join(ViewOf(1, {0, 3}), Source::kBase), interruption) << "worker 3 never comes";
  EXPECT_EQ(worker.restored(), 1);
  EXPECT_EQ(worker.Join(ViewOf(2, {0, 3}), Source::kCopy, 1), interruption);
  EXPECT_EQ(worker.restored(), 0) << "there is no copy";
  worker.Interrupt(absl::OkStatus());
  EXPECT_TRUE(worker.Join(ViewOf(3, {0}), Source::kKeep).ok());
}

}  // namespace
}  // namespace arcshard::worker
