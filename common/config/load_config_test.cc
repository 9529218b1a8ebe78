#include "common/config/load_config.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/schema.h"
#include "common/config/value.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kFile[] = "/runs/run.yaml";

std::string ErrorOf(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const absl::StatusOr<RunConfig> config = ParseRunConfig(yaml, kFile, overrides);
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << yaml;
  return std::string(config.status().message());
}

// The error of a valid file with only the key in `line`, a line of YAML, which is line 3 of the file.
std::string ErrorOfKey(const std::string& section, const std::string& line) {
  return ErrorOf(absl::StrCat("# a run\n", section, ":\n  ", line, "\n"), {"data.train=/t"});
}

RunConfig Parsed(const std::string& yaml, const std::vector<std::string>& overrides = {"data.train=/t"}) {
  const absl::StatusOr<RunConfig> config = ParseRunConfig(yaml, kFile, overrides);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : RunConfig();
}

TEST(LoadConfigTest, EveryTypeIsRead) {
  const RunConfig config = Parsed(R"(
run: {seed: 18446744073709551615, deterministic: true}
data:
  train: omniglot        # a folder beside the file
  batch_size: 32
  micro_batch_size: 16
  rotate_degrees: 7.5
head: {classes: 964, scale: 32}
loss: {margin: cosface, m: 4e-1}
schedule: {kind: steps, drop_epochs: [4, 8.5], drop_factor: .1}
verification: {sets: [a.bin, ../b.bin, /c.bin]}
cluster: {connect_timeout: 1m30s, heartbeat_interval: 500ms, log_mb: 0, rejoin_grace: 0s, wire: bfloat16}
)",
                                  {});
  EXPECT_EQ(config.run.seed, ~uint64_t{0});
  EXPECT_TRUE(config.run.deterministic);
  EXPECT_EQ(config.data.train, "/runs/omniglot");
  EXPECT_EQ(config.data.batch_size, 32u);
  EXPECT_EQ(config.data.rotate_degrees, 7.5);
  EXPECT_EQ(config.head.classes, 964);
  EXPECT_EQ(config.head.scale, 32.0);
  EXPECT_EQ(config.loss.margin, "cosface");
  EXPECT_EQ(config.loss.m, 0.4);
  EXPECT_THAT(config.schedule.drop_epochs, ElementsAre(4.0, 8.5));
  EXPECT_THAT(config.verification.sets, ElementsAre("/runs/a.bin", "/b.bin", "/c.bin"));
  EXPECT_EQ(config.cluster.connect_timeout, absl::Seconds(90));
  EXPECT_EQ(config.cluster.heartbeat_interval, absl::Milliseconds(500));
  EXPECT_EQ(config.cluster.log_mb, 0);
  EXPECT_EQ(config.cluster.rejoin_grace, absl::ZeroDuration());
  EXPECT_EQ(config.cluster.wire, "bfloat16");
  EXPECT_EQ(config.optimizer.momentum, 0.9) << "what the file leaves out has its default";
}

TEST(LoadConfigTest, AnEmptyFileAndEmptySectionsMeanDefaults) {
  EXPECT_EQ(Parsed("").data.batch_size, 128u);
  EXPECT_EQ(Parsed("# nothing\n").data.batch_size, 128u);
  EXPECT_EQ(Parsed("data:\n  # batch_size: 64\nhead:\n").data.batch_size, 128u);
}

TEST(LoadConfigTest, AnUnknownKeyNamesItsLineAndTheNearestValidName) {
  EXPECT_EQ(ErrorOf("# a run\ndata:\n  train: x\n  bach_size: 64\n"),
            "/runs/run.yaml:4: unknown key data.bach_size; the nearest valid name is data.batch_size");
  EXPECT_THAT(ErrorOfKey("data", "image_sizes: 1"), HasSubstr("nearest valid name is data.image_size"));
  EXPECT_THAT(ErrorOfKey("schedule", "epcohs: 1"), HasSubstr("nearest valid name is schedule.epochs"));
}

TEST(LoadConfigTest, ARightKeyInAWrongSectionIsFoundInAnother) {
  EXPECT_THAT(ErrorOfKey("optimizer", "lr: 0.1"),
              HasSubstr("unknown key optimizer.lr; the nearest valid name is schedule.lr"));
  EXPECT_THAT(ErrorOfKey("loss", "scale: 64"), HasSubstr("nearest valid name is data.scale or head.scale"));
  EXPECT_THAT(ErrorOf("batch_size: 64\n"),
              HasSubstr(":1: unknown key batch_size; the nearest valid name is data.batch_size"));
  EXPECT_THAT(ErrorOf("\noptimiser:\n  momentum: 0.9\n"),
              HasSubstr(":2: unknown key optimiser; the nearest valid name is optimizer"));
}

TEST(LoadConfigTest, AWrongTypeNamesKeyLineExpectedAndFound) {
  EXPECT_EQ(ErrorOfKey("data", "batch_size: many"),
            "/runs/run.yaml:3: data.batch_size expects a whole number, found 'many'");
  EXPECT_THAT(ErrorOfKey("data", "batch_size: 64.0"), HasSubstr("expects a whole number, found '64.0'"));
  EXPECT_THAT(ErrorOfKey("data", "batch_size: \"64\""), HasSubstr("expects a whole number, found '\"64\"'"));
  EXPECT_THAT(ErrorOfKey("data", "batch_size:"), HasSubstr("expects a whole number, found nothing"));
  EXPECT_THAT(ErrorOfKey("data", "batch_size: [64]"), HasSubstr("expects a whole number, found a list"));
  EXPECT_THAT(ErrorOfKey("data", "flip: yes"), HasSubstr("data.flip expects true or false, found 'yes'"));
  EXPECT_THAT(ErrorOfKey("data", "flip: 1"), HasSubstr("expects true or false, found '1'"));
  EXPECT_THAT(ErrorOfKey("data", "train: {a: b}"), HasSubstr("data.train expects text, found a map"));
  EXPECT_THAT(
      ErrorOfKey("data", "train: ~"),
      HasSubstr("data.train expects text, found nothing (YAML's ~ alone is nothing; \"~\" in quotes is the home "));
  EXPECT_THAT(ErrorOfKey("schedule", "lr: fast"), HasSubstr("schedule.lr expects a number, found 'fast'"));
  EXPECT_THAT(ErrorOfKey("schedule", "lr: .nan"), HasSubstr("expects a number, found '.nan'"));
  EXPECT_THAT(ErrorOfKey("schedule", "lr: inf"), HasSubstr("expects a number, found 'inf'"));
  EXPECT_THAT(ErrorOfKey("schedule", "lr: 1e999"), HasSubstr("expects a number, found '1e999'"));
  EXPECT_THAT(ErrorOfKey("schedule", "drop_epochs: 4"),
              HasSubstr("schedule.drop_epochs expects a list of numbers, found '4'"));
  EXPECT_THAT(ErrorOfKey("schedule", "drop_epochs: [4, x]"),
              HasSubstr("schedule.drop_epochs expects a number, found 'x'"));
  EXPECT_THAT(ErrorOfKey("verification", "sets: [a, [b]]"),
              HasSubstr("verification.sets expects a list of texts, found a list"));
  EXPECT_THAT(ErrorOfKey("cluster", "connect_timeout: 60"),
              HasSubstr("cluster.connect_timeout expects a duration such as 500ms, 8s or 2m, found '60'"));
  EXPECT_THAT(ErrorOfKey("cluster", "connect_timeout: inf"), HasSubstr("expects a duration"));
}

TEST(LoadConfigTest, AnElementOfAListIsNamedByItsOwnLine) {
  EXPECT_THAT(ErrorOf("schedule:\n  drop_epochs:\n    - 4\n    - x\n"),
              StartsWith("/runs/run.yaml:4: schedule.drop_epochs "));
}

TEST(LoadConfigTest, AValueOutOfRangeNamesKeyLineAndBounds) {
  EXPECT_EQ(ErrorOfKey("data", "batch_size: 1"),
            "/runs/run.yaml:3: data.batch_size must be from 2 to 1048576, found 1");
  EXPECT_THAT(ErrorOfKey("data", "batch_size: -1"), HasSubstr("must be from 2 to 1048576, found -1"));
  EXPECT_THAT(ErrorOfKey("data", "batch_size: 99999999999999999999"),
              HasSubstr("must be from 2 to 1048576, found 99999999999999999999"));
  EXPECT_THAT(ErrorOfKey("head", "classes: -1"), HasSubstr("head.classes must be from 0 to 1000000000, found -1"));
  EXPECT_THAT(ErrorOfKey("head", "classes: 1000000001"), HasSubstr("from 0 to 1000000000, found 1000000001"));
  EXPECT_THAT(ErrorOfKey("run", "seed: -1"),
              HasSubstr("run.seed must be at least 0 and below 18446744073709551616, found -1"));
  EXPECT_THAT(ErrorOfKey("run", "seed: 18446744073709551616"), HasSubstr("found 18446744073709551616"));
  EXPECT_THAT(ErrorOfKey("optimizer", "momentum: 1"),
              HasSubstr("optimizer.momentum must be at least 0 and below 1, found 1"));
  EXPECT_THAT(ErrorOfKey("schedule", "drop_epochs: [4, 0]"),
              HasSubstr("schedule.drop_epochs must be above 0, found 0"));
  EXPECT_THAT(ErrorOfKey("cluster", "heartbeat_interval: 1ms"), HasSubstr("must be from 10ms to 1h, found 1ms"));
  EXPECT_THAT(ErrorOfKey("cluster", "log_mb: -1"), HasSubstr("cluster.log_mb must be from 0 to 1048576, found -1"));
  EXPECT_THAT(ErrorOfKey("cluster", "recovery_target: 0s"),
              HasSubstr("cluster.recovery_target must be from 10ms to 24h, found 0"));
  EXPECT_THAT(ErrorOfKey("cluster", "rejoin_grace: -1s"),
              HasSubstr("cluster.rejoin_grace must be from 0 to 24h, found -1s"));
  EXPECT_THAT(ErrorOfKey("cluster", "rejoin_timeout: 25h"),
              HasSubstr("cluster.rejoin_timeout must be from 10ms to 24h, found 25h"));
  EXPECT_THAT(ErrorOfKey("cluster", "wire: float16"),
              HasSubstr("cluster.wire must be float32 or bfloat16, found 'float16'"));
  EXPECT_THAT(ErrorOfKey("backbone", "name: resnet18"), AllOf(HasSubstr("backbone.name must be iresnet18, iresnet34,"),
                                                              HasSubstr("faceresnet100 or none, found 'resnet18'")));
}

TEST(LoadConfigTest, DropoutIsANumberOrAuto) {
  EXPECT_EQ(Parsed("").backbone.dropout, std::nullopt);
  EXPECT_EQ(Parsed("backbone: {dropout: 0.25}").backbone.dropout, 0.25);
  EXPECT_EQ(Parsed("backbone: {dropout: 0.25}", {"data.train=/t", "backbone.dropout=auto"}).backbone.dropout,
            std::nullopt);
  EXPECT_THAT(ToYaml(RunConfig()), HasSubstr("\n  dropout: auto  # probability; "));
  EXPECT_THAT(ErrorOfKey("backbone", "dropout: some"),
              HasSubstr("backbone.dropout expects a number or auto, found 'some'"));
  EXPECT_THAT(ErrorOfKey("backbone", "dropout:"), HasSubstr("expects a number or auto, found nothing"));
  EXPECT_THAT(ErrorOfKey("backbone", "dropout: 1"),
              HasSubstr("backbone.dropout must be at least 0 and below 1, found 1"));
}

TEST(LoadConfigTest, AScaleAbove80IsRefusedWithTheReason) {
  EXPECT_EQ(Parsed("head: {scale: 80}").head.scale, 80.0);
  EXPECT_THAT(ErrorOfKey("head", "scale: 80.5"),
              AllOf(StartsWith("/runs/run.yaml:3: head.scale must be above 0 and at most 80, found 80.5"),
                    HasSubstr("keeps sums over all classes inside float32")));
  EXPECT_THAT(ErrorOfKey("head", "scale: 0"), HasSubstr("above 0"));
}

TEST(LoadConfigTest, ARepeatedKeyOrSectionIsRefusedWhereItStandsAgain) {
  EXPECT_EQ(ErrorOf("data:\n  flip: true\n  flip: true\n"), "/runs/run.yaml:3: key data.flip is repeated here");
  EXPECT_EQ(ErrorOf("data: {flip: true}\nrun:\ndata:\n"), "/runs/run.yaml:3: section data is repeated here");
}

TEST(LoadConfigTest, WhatIsNoMapIsRefused) {
  EXPECT_EQ(ErrorOf("- data\n"), "/runs/run.yaml:1: expects a map of sections, found a list");
  EXPECT_EQ(ErrorOf("hello"), "/runs/run.yaml:1: expects a map of sections, found 'hello'");
  EXPECT_EQ(ErrorOf("\ndata: 5\n"), "/runs/run.yaml:2: section data expects a map of keys, found '5'");
  EXPECT_THAT(ErrorOf("? [a]\n: b\n"), HasSubstr(":1: expects a section's name, found a list"));
  EXPECT_THAT(ErrorOf("data:\n  ? {a: b}\n  : c\n"), HasSubstr("expects a key's name, found a map"));
}

TEST(LoadConfigTest, MalformedYamlNamesLineAndColumn) {
  EXPECT_THAT(ErrorOf("data:\n  flip: [true\n"), StartsWith("/runs/run.yaml:3:1: malformed YAML: "));
  EXPECT_THAT(ErrorOf("data:\n\tflip: true\n"), StartsWith("/runs/run.yaml:2:"));
  EXPECT_THAT(ErrorOf("data: {flip: *nowhere}\n"), StartsWith("/runs/run.yaml:1:14: malformed YAML: "));
  EXPECT_THAT(ErrorOf("data: {}\n---\nrun: {}\n"), HasSubstr("expects one YAML document"));
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("malformed YAML"));
  EXPECT_THAT(ErrorOf(",data: {}\n"), StartsWith("/runs/run.yaml: expects one YAML document"))
      << "LoadAll would not end";
}

TEST(LoadConfigTest, AnyDamagedByteIsRefusedOrHarmless) {
  const std::string yaml =
      "data:\n  train: &t \"/t\\x20\"\n  batch_size: 64\nschedule: {drop_epochs: [4, 8.5]}\nverification:\n  sets:\n  "
      "- *t\n";
  ASSERT_TRUE(ParseRunConfig(yaml, kFile, {}).ok());
  for (size_t position = 0; position < yaml.size(); ++position) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = yaml;
      damaged[position] = static_cast<char>(value);
      const absl::Status status = ParseRunConfig(damaged, kFile, {}).status();
      if (!status.ok()) {
        EXPECT_THAT(std::string(status.message()), StartsWith(kFile));
      }
    }
    (void)ParseRunConfig(yaml.substr(0, position), kFile, {}).ok();
  }
}

TEST(LoadConfigTest, AMissingFileIsNamed) {
  const absl::Status status = LoadRunConfig("/nowhere/run.yaml", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "/nowhere/run.yaml: cannot open for reading: No such file or directory");
}

TEST(LoadConfigTest, OverridesWinOverTheFileAndLaterOverEarlier) {
  const RunConfig config =
      Parsed("data: {train: /t, batch_size: 32, micro_batch_size: 16}\nschedule: {drop_epochs: [1]}\n",
             {"data.batch_size=96", "data.batch_size=48", "schedule.drop_epochs=[2, 3]", "data.train=/a = b: c",
              "cluster.connect_timeout=5s"});
  EXPECT_EQ(config.data.batch_size, 48u);
  EXPECT_EQ(config.data.micro_batch_size, 16u);
  EXPECT_THAT(config.schedule.drop_epochs, ElementsAre(2.0, 3.0));
  EXPECT_EQ(config.data.train, "/a = b: c");
  EXPECT_EQ(config.cluster.connect_timeout, absl::Seconds(5));
}

TEST(LoadConfigTest, ABadOverrideIsNamedAsItWasGiven) {
  const auto error = [](const std::string& assignment) { return ErrorOf("data: {train: /t}", {assignment}); };
  EXPECT_EQ(error("data.bach_size=3"),
            "--set data.bach_size=3: unknown key data.bach_size; the nearest valid name is data.batch_size");
  EXPECT_EQ(error("data.batch_size=x"), "--set data.batch_size=x: data.batch_size expects a whole number, found 'x'");
  EXPECT_EQ(error("data.batch_size="), "--set data.batch_size=: data.batch_size expects a whole number, found nothing");
  EXPECT_THAT(error("head.scale=81"), StartsWith("--set head.scale=81: head.scale must be above 0 and at most 80, "));
  EXPECT_EQ(error("schedule.drop_epochs=[x]"),
            "--set schedule.drop_epochs=[x]: schedule.drop_epochs expects a number, found 'x'");
  EXPECT_EQ(error("schedule.drop_epochs=[1"),
            "--set schedule.drop_epochs=[1: schedule.drop_epochs expects a list of numbers, such as [a, b]");
  EXPECT_THAT(error("schedule.drop_epochs=[1] ]"), HasSubstr("expects a list of numbers, such as [a, b]"));
  EXPECT_EQ(error("data=3"), "--set data=3: data is a section, not a key");
  for (const char* assignment : {"data.batch_size", "=3", ""}) {
    EXPECT_THAT(error(assignment), HasSubstr("expects section.key=value")) << assignment;
  }
}

TEST(LoadConfigTest, AllPathsInAFileCountFromItsFolder) {
  const std::string here = std::filesystem::current_path().string();
  const RunConfig config =
      Parsed("run: {folder: r}\ndata: {train: ../t}\nhead: {init: i.safetensors}\nloss: {class_weights: w}\n", {});
  EXPECT_EQ(config.run.folder, "/runs/r");
  EXPECT_EQ(config.data.train, "/t");
  EXPECT_EQ(config.head.init, "/runs/i.safetensors");
  EXPECT_EQ(config.loss.class_weights, "/runs/w");
  EXPECT_EQ(Parsed("run: {folder: r/}").run.folder, "/runs/r") << "however it is written";
  EXPECT_EQ(Parsed("run: {folder: .}").run.folder, "/runs");
  EXPECT_EQ(Parsed("run: {folder: /}").run.folder, "/");
  EXPECT_EQ(Parsed("").head.init, "") << "empty means none, not the folder";
  const RunConfig overridden = Parsed("run: {folder: r}", {"data.train=t", "run.folder=s"});
  EXPECT_EQ(overridden.data.train, here + "/t") << "an override is written where the command is given";
  EXPECT_EQ(overridden.run.folder, here + "/s");
  const absl::StatusOr<RunConfig> beside = ParseRunConfig("data: {train: t}", "run.yaml", {});
  EXPECT_EQ(beside->data.train, here + "/t");
  EXPECT_EQ(ParseRunConfig("data: {train: t}", "/dev/null", {})->data.train, here + "/t") << "a pipe has no folder";
}

TEST(LoadConfigTest, ALineThatIsIndentedWithATabIsNamed) {
  EXPECT_EQ(ErrorOf("data:\n\tflip: true\n"),
            "/runs/run.yaml:2: the line is indented with a tab; YAML allows only spaces there");
  EXPECT_THAT(ErrorOf("# a run\n\ndata:\n  flip: true\n \ttrain: x\n"),
              HasSubstr(":5: the line is indented with a tab"));
  EXPECT_THAT(ErrorOf("run:\tfolder: [x\n"), HasSubstr("malformed YAML")) << "a tab elsewhere is not to blame";
}

TEST(LoadConfigTest, AFilterOf0IsRefusedWithTheReason) {
  EXPECT_EQ(Parsed("head: {filter: 0.4}").head.filter, 0.4);
  EXPECT_THAT(ErrorOfKey("head", "filter: 0"), AllOf(HasSubstr("head.filter must be above 0 and at most 1, found 0"),
                                                     HasSubstr("1 turns the filter off")));
}

TEST(LoadConfigTest, HomeAndVariablesInPathsAreReplacedOrRefusedAndNeverNamesOfFolders) {
  ASSERT_EQ(setenv("HOME", "/home/me", 1), 0);
  ASSERT_EQ(setenv("RUNS", "/runs$x", 1), 0);
  ASSERT_EQ(setenv("EMPTY", "", 1), 0);
  const auto folder = [](const std::string& text) { return Parsed("run: {folder: '" + text + "'}").run.folder; };
  EXPECT_EQ(folder("~/runs/a"), "/home/me/runs/a");
  EXPECT_EQ(folder("~"), "/home/me");
  EXPECT_EQ(folder("$HOME/b"), "/home/me/b");
  EXPECT_EQ(folder("${RUNS}/c"), "/runs$x/c") << "what is put in is not read again";
  EXPECT_EQ(folder("/a/$RUNS/${HOME}d"), "/a/runs$x/home/med");
  EXPECT_EQ(folder("/a$$HOME/b$/$-/$`x$`/$$1/$$(y)/c$"), "/a$HOME/b$/$-/`x`/$1/$(y)/c$");
  EXPECT_EQ(folder("./~/x"), "/runs/~/x") << "a path from the file's folder";
  const RunConfig config = Parsed("data: {train: ~/data}\nverification: {sets: [~/a.bin, $RUNS/b.bin]}", {});
  EXPECT_EQ(config.data.train, "/home/me/data");
  EXPECT_THAT(config.verification.sets, ::testing::ElementsAre("/home/me/a.bin", "/runs$x/b.bin"));
  EXPECT_EQ(Parsed("", {"data.train=/t", "run.folder=~/runs"}).run.folder, "/home/me/runs");

  EXPECT_THAT(ErrorOf("run: {folder: $NONE/a}"),
              HasSubstr("run.folder is '$NONE/a', but the environment has no NONE; set it, or write $$"));
  EXPECT_THAT(ErrorOf("run: {folder: $EMPTY/a}"), HasSubstr("the environment has no EMPTY"));
  EXPECT_THAT(ErrorOf("", {"data.train=~you/a"}),
              HasSubstr("--set data.train=~you/a: data.train is '~you/a', and the home folders of others"));
  for (const char* path : {"${RUNS:-x}/y", "$(echo hi)/x", "${/x", "${RUNS", "$1/x", "${1}"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("run: {folder: '", path, "'}")),
                HasSubstr(absl::StrCat("run.folder is '", path, "', of which only a shell can replace '$")));
  }
  EXPECT_THAT(ErrorOf("", {"verification.sets=['/a/`echo b`']"}),
              HasSubstr("verification.sets is '/a/`echo b`', and a shell would run what is in backticks; write $`"));
  ASSERT_EQ(unsetenv("HOME"), 0);
  EXPECT_THAT(ErrorOf("run: {folder: ~/a}"), HasSubstr("the environment has no HOME, which ~ stands for"));
}

TEST(LoadConfigTest, KeysThatDoNotFitTogetherAreRefusedByName) {
  const auto error = [](const std::vector<std::string>& overrides) { return ErrorOf("data: {train: /t}", overrides); };
  EXPECT_EQ(ErrorOf(""),
            "/runs/run.yaml: data.train is missing: the folder with train.rec, train.idx and property, the folder of "
            "images, or the list file (none is needed with data.format synthetic)");
  EXPECT_THAT(ErrorOf("", {"data.format=synthetic"}), HasSubstr("data.format synthetic needs head.classes: "));
  EXPECT_THAT(
      error({"data.format=seed", "data.root=/r"}),
      HasSubstr("data.root (/r) is the folder that the paths of a list are relative to, but data.format is seed"));
  EXPECT_EQ(error({"data.micro_batch_size=129"}),
            "/runs/run.yaml: data.micro_batch_size (129) must be at most data.batch_size (128)");
  EXPECT_THAT(error({"data.image_size=100"}), HasSubstr("data.image_size (100) must be a multiple of 16"));
  EXPECT_THAT(error({"backbone.name=mobilefacenet", "backbone.dropout=0.4"}),
              HasSubstr("backbone.dropout (0.4) must be 0 or auto with backbone.name mobilefacenet"));
  EXPECT_THAT(error({"backbone.name=none", "backbone.dropout=0.4"}), HasSubstr("backbone.name none"));
  EXPECT_THAT(error({"backbone.name=none", "data.image_size=16", "backbone.embedding_size=769"}),
              HasSubstr("backbone.embedding_size (769) must be at most 768, the values of an image"));
  EXPECT_THAT(error({"loss.margin=sphereface"}), HasSubstr("loss.m (0.5) must be at least 1"));
  EXPECT_THAT(error({"loss.margin=combined", "loss.m1=1.1", "loss.monotonic=true"}),
              HasSubstr("with loss.margin combined it is 1.1"));
  EXPECT_THAT(error({"loss.magface_low=110"}),
              HasSubstr("loss.magface_low (110) must be below loss.magface_high (110)"));
  EXPECT_THAT(error({"loss.magface_low_margin=1"}), HasSubstr("must be at most loss.magface_high_margin (0.8)"));
  EXPECT_THAT(error({"schedule.warmup_epochs=21"}),
              HasSubstr("schedule.warmup_epochs (21) must be at most schedule.epochs (20)"));
  EXPECT_THAT(error({"schedule.end_lr=0.2"}), HasSubstr("schedule.end_lr (0.2) must be at most schedule.lr (0.1)"));
  EXPECT_THAT(error({"schedule.drop_epochs=[3, 3]"}), HasSubstr("schedule.drop_epochs must ascend, but 3 follows 3"));
  EXPECT_THAT(error({"verification.sets=[a, b]", "verification.names=[x]"}),
              HasSubstr("verification.names has 1 names, but verification.sets 2 sets"));
  EXPECT_THAT(error({"verification.sets=[a, b]", "verification.names=[x, x]"}), HasSubstr("gives two sets the name x"));
  EXPECT_THAT(error({"cluster.heartbeat_timeout=1500ms"}),
              HasSubstr("cluster.heartbeat_timeout (1.5s) must be at least twice"));
  EXPECT_THAT(error({"cluster.rejoin_timeout=8s"}),
              HasSubstr("cluster.rejoin_timeout (8s) must be at least cluster.rejoin_grace (9s)"));
}

TEST(LoadConfigTest, WhatAnotherMarginUsesMayBeSet) {
  EXPECT_EQ(Parsed("loss: {margin: softmax, m1: 2, magface_lambda: 3, monotonic: true}").loss.m1, 2.0);
}

TEST(LoadConfigTest, AConfigurationBuiltInCodeIsCheckedTheSameWay) {
  RunConfig config;
  config.data.train = "/t";
  EXPECT_TRUE(CheckRunConfig(config).ok());
  config.head.scale = 81;
  EXPECT_THAT(std::string(CheckRunConfig(config).message()),
              StartsWith("head.scale must be above 0 and at most 80, found 81"));
  config.head.scale = std::nan("");
  EXPECT_EQ(CheckRunConfig(config).message(), "head.scale expects a finite number");
  config.head.scale = 64;
  config.cluster.connect_timeout = absl::InfiniteDuration();
  EXPECT_THAT(std::string(CheckRunConfig(config).message()),
              StartsWith("cluster.connect_timeout must be from 10ms to 24h"));
}

TEST(LoadConfigTest, AFileOnDiskIsRead) {
  const std::string path = ::testing::TempDir() + "load_config_test.yaml";
  std::ofstream(path) << "data: {train: t}\nhead: {scale: 32}\n";
  const absl::StatusOr<RunConfig> config = LoadRunConfig(path, {"head.classes=9"});
  std::filesystem::remove(path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head.scale, 32.0);
  EXPECT_EQ(config->head.classes, 9);
  EXPECT_EQ(config->data.train, (std::filesystem::path(path).parent_path() / "t").string());
}

TEST(LoadConfigTest, ATextLongerThanAMebibyteIsRefusedBeforeItIsParsed) {
  const auto refused = [](const std::string& text) {
    EXPECT_THAT(ErrorOf(text), AllOf(StartsWith("/runs/run.yaml: has "), HasSubstr("at most 1048576")));
    const std::string path = ::testing::TempDir() + "long.yaml";
    std::ofstream(path) << text;
    const absl::Status status = LoadRunConfig(path, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(path), HasSubstr("at most 1048576")));
  };
  std::string list = "verification:\n  sets: [a";
  while (list.size() <= (1 << 20)) list += ",a";
  refused(list + "]\n");
  refused("# " + std::string(1 << 20, 'x') + "\ndata: {train: t}\n");
  const std::string comment = "# " + std::string((1 << 20) - 20, 'x');
  EXPECT_TRUE(ParseRunConfig(comment + "\ndata: {train: t}", "run.yaml", {}).ok());
}

// Every key's value as ToYaml prints it.
std::vector<std::string> Values(RunConfig config) {
  std::vector<std::string> values;
  for (const ConfigKey& key : ConfigKeys(&config))
    values.push_back(absl::StrCat(key.name, "=", FormatValue(key.value)));
  return values;
}

TEST(ToYamlTest, WhatIsPrintedReadsBackToTheSameValues) {
  RunConfig config;
  config.run.folder = "/a \"b\" \\ #c: {d}\ttab é";
  config.run.seed = ~uint64_t{0};
  config.data.train = "/null";
  config.head.classes = 1000000000;
  config.backbone.dropout = 0.1 + 0.3;
  config.loss.m = 0.1 + 0.2;
  config.loss.magface_lambda = 1e22;
  config.loss.elastic_std = 5e-324;
  config.schedule.drop_epochs = {1.0 / 3, 8};
  config.verification.sets = {"/~", "/-x", "/é", "/$HOME/${HOME}/$$/$", "/`a`/$`/$(b)/$1"};
  config.cluster.connect_timeout = absl::Milliseconds(61001);
  const absl::StatusOr<RunConfig> again = ParseRunConfig(ToYaml(config), "", {});
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << ToYaml(config);
  EXPECT_EQ(Values(*again), Values(config));
  EXPECT_EQ(again->run.folder, config.run.folder);
  EXPECT_EQ(again->backbone.dropout, config.backbone.dropout);
  EXPECT_EQ(again->loss.m, config.loss.m);
  EXPECT_EQ(again->loss.magface_lambda, 1e22);
  EXPECT_EQ(again->loss.elastic_std, 5e-324);
  EXPECT_EQ(again->schedule.drop_epochs, config.schedule.drop_epochs);
  EXPECT_EQ(again->verification.sets, config.verification.sets);
  EXPECT_EQ(again->cluster.connect_timeout, config.cluster.connect_timeout);
}

TEST(ToYamlTest, EachKeyStandsInItsSectionWithItsUnitAndBounds) {
  const std::string yaml = ToYaml(RunConfig());
  EXPECT_THAT(yaml, HasSubstr("\ndata:\n  train: \"\"  # the training set: "));
  EXPECT_THAT(
      yaml,
      HasSubstr("\n  batch_size: 128  # samples; in a step, over all workers (from 2 to 1048576; fixed on resume)\n"));
}

TEST(SchemaTest, EveryKeyIsExplainedAndItsDefaultIsAllowed) {
  RunConfig defaults;
  const std::string help = ConfigHelp();
  std::vector<std::string> names;
  for (const ConfigKey& key : ConfigKeys(&defaults)) {
    EXPECT_GE(key.help.size(), 10u) << key.name;
    EXPECT_TRUE(CheckValue(key).ok()) << key.name << " " << CheckValue(key);
    EXPECT_THAT(help, HasSubstr(absl::StrCat(key.name, " = ", FormatValue(key.value)))) << key.name;
    EXPECT_THAT(names, ::testing::Not(::testing::Contains(key.name)));
    names.push_back(key.name);
  }
}

TEST(SchemaTest, EveryFieldOfTheStructHasAKey) {
  // The keys cover the struct if it consists of their values and padding: in the order of addresses, no two neighbours
  // have a gap of 8 bytes or more between them.
  RunConfig config;
  std::vector<std::pair<const char*, size_t>> slots;
  for (const ConfigKey& key : ConfigKeys(&config)) {
    std::visit([&](auto* slot) { slots.emplace_back(reinterpret_cast<const char*>(slot), sizeof(*slot)); }, key.value);
  }
  std::sort(slots.begin(), slots.end());
  const char* end = reinterpret_cast<const char*>(&config);
  for (const auto& [begin, size] : slots) {
    EXPECT_GE(begin, end) << "two keys share a field";
    EXPECT_LT(begin - end, 8) << "a field before offset " << begin - reinterpret_cast<const char*>(&config)
                              << " has no key";
    end = begin + size;
  }
  EXPECT_LT(reinterpret_cast<const char*>(&config + 1) - end, 8);
}

TEST(SchemaTest, AKeyThatIsFixedOnResumeSaysSo) {
  RunConfig defaults;
  std::vector<std::string> fixed;
  for (const ConfigKey& key : ConfigKeys(&defaults)) {
    if (key.on_resume != OnResume::kMayChange) fixed.push_back(key.name);
  }
  EXPECT_THAT(fixed,
              ::testing::ElementsAre("run.seed", "data.image_size", "data.batch_size", "data.micro_batch_size",
                                     "data.last_batch", "backbone.name", "backbone.width", "backbone.embedding_size",
                                     "head.classes", "head.weights", "head.moments", "optimizer.kind"));
  std::vector<std::string> said;
  for (const absl::string_view line : absl::StrSplit(ConfigHelp(), '\n')) {
    if (absl::StrContains(line, "fixed on resume")) said.emplace_back(line.substr(0, line.find(' ')));
  }
  EXPECT_EQ(said, fixed);
}

TEST(SchemaTest, AKeyThatDoesNothingForAMarginSaysSo) {
  const std::string help = ConfigHelp();
  for (const char* said : {"combined only", "elastic only", "adaface only", "magface only",
                           "does nothing with combined, softmax and magface"}) {
    EXPECT_THAT(help, HasSubstr(said));
  }
}

}  // namespace
}  // namespace arcshard
