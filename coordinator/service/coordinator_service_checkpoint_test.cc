#include <deque>
#include <thread>
#include <utility>

#include "common/base/mutex.h"
#include "coordinator/service/testing/coordinator_service_test_kit.h"
#include "gmock/gmock.h"

// Checkpoints over real gRPC: reports reach Run, and the answer to TakeCheckpoint its caller.
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

// A keeper that waits until the test reports the checkpoint as kept.
class WaitingKeeper final : public CheckpointKeeper {
 public:
  void Complete(const std::string&, Manifest manifest) override {
    MutexLock lock(&mutex_);
    manifests_.push_back(std::move(manifest));
    changed_.NotifyAll();
  }
  void Abandon(const std::string&) override {}
  void DeleteSuperseded() override {}

  // Waits for the next one that is handed over.
  Manifest Await() {
    MutexLock lock(&mutex_);
    while (manifests_.empty()) changed_.Wait(&mutex_);
    Manifest manifest = std::move(manifests_.front());
    manifests_.pop_front();
    return manifest;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<Manifest> manifests_ ABSL_GUARDED_BY(mutex_);
};

class CoordinatorServiceCheckpointTest : public CoordinatorServiceTest {
 protected:
  void SetUp() override {
    Run::Options options;
    options.config.run.folder = "/run";
    Begin(options, &keeper_);
  }
  absl::Status Take(v1::TakeCheckpointResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(DeadlineIn(kCallLimit));
    return FromGrpcStatus(stub_->TakeCheckpoint(&context, v1::TakeCheckpointRequest(), response));
  }
  // Reports all parts of the checkpoint of `step`, which was asked for, and completes it.
  void Keep(uint64_t step, const absl::Status& status = absl::OkStatus()) {
    shard_->ReportCheckpoint(step);
    worker_->ReportCheckpoint(step);
    EXPECT_EQ(keeper_.Await().step, step);
    service_->session()->CheckpointKept(step, status);
  }

  WaitingKeeper keeper_;
};

TEST_F(CoordinatorServiceCheckpointTest, TakeCheckpointAnswersOnceItIsComplete) {
  BeginTraining();
  Step(1);
  EXPECT_TRUE(Step(2).next().checkpoint());  // and an evaluation, during which the call comes
  absl::Status status = absl::UnknownError("no answer");
  v1::TakeCheckpointResponse response;
  std::thread caller([&] { status = Take(&response); });
  Keep(2);
  caller.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.step(), 2u);
  EXPECT_EQ(response.folder(), "/run/checkpoints/step-00000002.3");
  EXPECT_EQ(metrics_.checkpoints.With(kCheckpointComplete).Value(), 1.0);
}

TEST_F(CoordinatorServiceCheckpointTest, AReportOfTheLargestPartArrives) {
  BeginTraining();
  Step(1);
  EXPECT_TRUE(Step(2).next().checkpoint());
  worker_->ReportCheckpoint(2);
  worker_->ReportEvaluation();
  shard_->Read(v1::CoordinatorMessage::kProceed);  // so the worker's part has arrived, too
  shard_->ReportCheckpoint(2, kMaxPartBytes);
  const Manifest manifest = keeper_.Await();
  ASSERT_EQ(manifest.files.size(), 1u);
  EXPECT_EQ(manifest.files[0].bytes, kMaxPartBytes);
}

TEST_F(CoordinatorServiceCheckpointTest, TakeCheckpointIsRefusedBeforeTheTrainingAndAfterIt) {
  v1::TakeCheckpointResponse response;
  EXPECT_EQ(Take(&response), absl::FailedPreconditionError("no checkpoint can be taken before the run began"));
  BeginTraining();
  worker_->Fail("no memory");
  EXPECT_TRUE(absl::IsInternal(AwaitEnd()));
  const absl::Status late = Take(&response);
  EXPECT_TRUE(absl::IsAborted(late)) << late;
  EXPECT_THAT(std::string(late.message()), HasSubstr("worker 0 (pid 123 on host): no memory"));
}

TEST_F(CoordinatorServiceCheckpointTest, ARunEndsWhenItsLastCheckpointIsComplete) {
  BeginTraining();
  service_->session()->RequestStop();
  EXPECT_TRUE(Step(1).next().checkpoint());
  shard_->ReportCheckpoint(1);
  worker_->ReportCheckpoint(1);
  EXPECT_EQ(keeper_.Await().step, 1u);
  shard_->Finish();
  worker_->Finish();
  service_->session()->CheckpointKept(1, absl::OkStatus());
  EXPECT_TRUE(AwaitEnd().ok());
  EXPECT_TRUE(shard_->ReadToEnd().ok());
}

}  // namespace
}  // namespace arcshard::coordinator
