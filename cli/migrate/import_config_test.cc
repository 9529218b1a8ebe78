#include "cli/migrate/import_config.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/config/load_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kBase[] = R"(from easydict import EasyDict as edict

config = edict()
config.margin_list = (1.0, 0.5, 0.0)
config.network = "r50"
config.resume = False
config.embedding_size = 512
config.sample_rate = 1
config.interclass_filtering_threshold = 0
config.fp16 = False
config.batch_size = 128
config.optimizer = "sgd"
config.lr = 0.1
config.momentum = 0.9
config.weight_decay = 5e-4
config.verbose = 2000
config.seed = 2048
config.num_workers = 2
config.wandb_key = "SECRET"
)";

class ImportConfigTest : public ::testing::Test {
 protected:
  ImportConfigTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    Write("base.py", kBase);
  }
  ~ImportConfigTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }

  // The YAML of a file that changes the base as `lines` say.
  std::string YamlOf(const std::string& lines, int64_t gpus = 0) {
    Write("faces.py", absl::StrCat("config = edict()\n", lines));
    const auto imported = ImportConfig({.config = folder_ + "/faces.py", .base = "", .gpus = gpus});
    EXPECT_TRUE(imported.ok()) << imported.status();
    without_ = imported.ok() ? imported->without_counterpart : -1;
    return imported.ok() ? imported->yaml : "";
  }
  RunConfig ConfigOf(const std::string& lines, int64_t gpus = 0) {
    const std::string yaml = YamlOf(absl::StrCat("config.rec = '/faces'\n", lines), gpus);
    const absl::StatusOr<RunConfig> config = ParseRunConfig(yaml, "/x/run.yaml", {});
    EXPECT_TRUE(config.ok()) << config.status() << "\n" << yaml;
    return config.value_or(RunConfig());
  }

  const std::string folder_ =
      absl::StrCat(::testing::TempDir(), "/import_config_", ::testing::UnitTest::GetInstance()->random_seed());
  int without_ = 0;
};

TEST_F(ImportConfigTest, ValuesOfTheBaseAndOfTheFileBecomeOurs) {
  const RunConfig config = ConfigOf(R"(
config.margin_list = (1.0, 0.0, 0.4)
config.network = "r100"
config.output = None
config.sample_rate = 0.2
config.fp16 = True
config.weight_decay = 1e-4
config.batch_size = 512
config.lr = 0.6
config.rec = "/train_tmp/WebFace42M"
config.num_classes = 2059906
config.num_image = 42474557
config.num_epoch = 20
config.warmup_epoch = config.num_epoch // 10
config.val_targets = ["lfw", "cfp_fp"]
)",
                                    16);
  EXPECT_EQ(config.run.folder, "/x/work_dirs/faces");
  EXPECT_EQ(config.run.seed, 2048u);
  EXPECT_EQ(config.data.train, "/train_tmp/WebFace42M");
  EXPECT_EQ(config.data.batch_size, 8192u);
  EXPECT_EQ(config.data.micro_batch_size, 512u);
  EXPECT_EQ(config.data.loader_threads, 2);
  EXPECT_EQ(config.backbone.name, "iresnet100");
  EXPECT_EQ(config.backbone.compute, "bfloat16");
  EXPECT_EQ(config.head.classes, 2059906);
  EXPECT_EQ(config.head.sample_rate, 0.2);
  EXPECT_EQ(config.loss.margin, "cosface");
  EXPECT_EQ(config.loss.m, 0.4);
  EXPECT_EQ(config.optimizer.momentum, 0.9);
  EXPECT_EQ(config.optimizer.weight_decay, 1e-4);
  EXPECT_EQ(config.schedule.lr, 0.6);
  EXPECT_EQ(config.schedule.epochs, 20);
  EXPECT_EQ(config.schedule.warmup_epochs, 2);
  EXPECT_THAT(config.verification.sets,
              ElementsAre("/train_tmp/WebFace42M/lfw.bin", "/train_tmp/WebFace42M/cfp_fp.bin"));
  EXPECT_EQ(config.verification.every_steps, 2000u);
  EXPECT_EQ(without_, 0);
}

TEST_F(ImportConfigTest, WhatTheirProgramFixesIsSetWhereOurDefaultsDiffer) {
  const RunConfig config = ConfigOf("");
  EXPECT_EQ(config.schedule.power, 1);
  EXPECT_EQ(config.optimizer.clip_grad_norm, 5);
  EXPECT_EQ(config.loss.gradient, "straight_through");
  EXPECT_TRUE(config.run.tensorboard);
  EXPECT_EQ(config.head.filter, 1) << "their threshold of 0 is off, which is 1 here";
  EXPECT_EQ(ConfigOf("config.interclass_filtering_threshold = 0.4").head.filter, 0.4);
}

TEST_F(ImportConfigTest, MarginsBecomeTheKindThatHasThem) {
  EXPECT_EQ(ConfigOf("config.margin_list = (1, 0.3, 0)").loss.margin, "arcface");
  EXPECT_EQ(ConfigOf("config.margin_list = (1, 0.3, 0)").loss.m, 0.3);
  EXPECT_EQ(ConfigOf("config.margin_list = [1.0, 0, 0]").loss.margin, "softmax");
  const RunConfig combined = ConfigOf("config.margin_list = (1.0, 0.3, 0.2)");
  EXPECT_EQ(combined.loss.margin, "combined");
  EXPECT_EQ(combined.loss.m2, 0.3);
  EXPECT_EQ(combined.loss.m3, 0.2);
}

TEST_F(ImportConfigTest, AConfigurationOfTheFirstVersionIsReadToo) {
  std::filesystem::remove(folder_ + "/base.py");
  const RunConfig config =
      ConfigOf("config.loss = 'cosface'\nconfig.decay_epoch = [10, 16]\nconfig.warmup_epoch = -1\n");
  EXPECT_EQ(config.loss.margin, "cosface");
  EXPECT_EQ(config.loss.gradient, "exact");
  EXPECT_EQ(config.schedule.kind, "steps");
  EXPECT_THAT(config.schedule.drop_epochs, ElementsAre(10, 16));
  EXPECT_EQ(config.schedule.warmup_epochs, 0);
  EXPECT_THAT(YamlOf(""), HasSubstr("there is no base.py"));
}

TEST_F(ImportConfigTest, AccumulationAndGpusAreInTheBatch) {
  const RunConfig config = ConfigOf("config.gradient_acc = 4\nconfig.val_targets = [\"lfw\"]", 2);
  EXPECT_EQ(config.data.batch_size, 1024u);
  EXPECT_EQ(config.data.micro_batch_size, 128u);
  EXPECT_EQ(config.verification.every_steps, 500u);  // verbose, 2000 forward passes of which a step has 4
  EXPECT_THAT(YamlOf(""), HasSubstr("with more GPUs give --gpus N"));
}

TEST_F(ImportConfigTest, WhatHasNoCounterpartIsAComment) {
  const std::string yaml =
      YamlOf("config.network = 'vit_b'\nconfig.rec = os.getenv('DATA')\nconfig.dali = True\nconfig.odd = 'x\\n: {'\n");
  EXPECT_THAT(yaml,
              AllOf(HasSubstr("# network = 'vit_b': there is no such backbone here"),
                    HasSubstr("# rec is not known, because nothing is executed: it calls os.getenv"),
                    HasSubstr("# dali = True: there is no DALI"), HasSubstr("# odd = 'x : {': it has no counterpart")));
  EXPECT_THAT(yaml, AllOf(Not(HasSubstr("name:")), Not(HasSubstr("SECRET"))));
  EXPECT_EQ(without_, 3);
  EXPECT_TRUE(ParseRunConfig(yaml, "run.yaml", {"data.train=/t"}).ok());
}

TEST_F(ImportConfigTest, AValueThatIsRefusedHereIsACommentWithTheReason) {
  const std::string yaml =
      YamlOf("config.rec = '/t'\nconfig.lr = 1e9\nconfig.embedding_size = 'big'\nconfig.seed = -1\n");
  EXPECT_THAT(yaml, AllOf(HasSubstr("# schedule.lr is left out, it must be from 0 to 1000"),
                          HasSubstr("# backbone.embedding_size is left out, it expects a whole number, found 'big'"),
                          HasSubstr("# run.seed is left out, it must be at least 0")));
  EXPECT_TRUE(ParseRunConfig(yaml, "run.yaml", {}).ok());
}

TEST_F(ImportConfigTest, SyntheticDataNeedsNoFolder) {
  const RunConfig config =
      ConfigOf("config.rec = 'synthetic'\nconfig.num_classes = 300 * 10000\nconfig.num_image = 1e5\n");
  EXPECT_EQ(config.data.format, "synthetic");
  EXPECT_EQ(config.head.classes, 3000000);
  EXPECT_EQ(config.data.synthetic_samples, 100000);
}

TEST_F(ImportConfigTest, TheBaseOfTheFolderAboveIsFound) {
  std::filesystem::create_directories(folder_ + "/scale");
  Write("scale/deep.py", "config = edict()\nconfig.rec = '/t'\n");
  const auto imported = ImportConfig({.config = folder_ + "/scale/deep.py", .base = "", .gpus = 0});
  ASSERT_TRUE(imported.ok());
  EXPECT_THAT(imported->yaml, HasSubstr("seed: 2048"));
}

TEST_F(ImportConfigTest, AnotherFileIsRefusedByName) {
  Write("other.py", "import torch\nx = 1\n");
  const absl::Status other = ImportConfig({.config = folder_ + "/other.py", .base = "", .gpus = 0}).status();
  EXPECT_THAT(std::string(other.message()), HasSubstr("other.py does not say config = EasyDict()"));
  EXPECT_EQ(ImportConfig({.config = folder_ + "/none.py", .base = "", .gpus = 0}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ImportConfigTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  Write("base.py", absl::StrCat("\xef\xbb\xbf", kBase));
  EXPECT_EQ(ConfigOf("").run.seed, 2048u);
}

TEST_F(ImportConfigTest, TrainNamesTheCommandForAFileInPython) {
  EXPECT_THAT(std::string(LoadRunConfig(folder_ + "/base.py", {}).status().message()),
              AllOf(HasSubstr("base.py is Python"), HasSubstr("arcshard import-config")));
}

}  // namespace
}  // namespace arcshard::cli
