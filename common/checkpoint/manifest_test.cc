#include "common/checkpoint/manifest.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "common/checkpoint/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kPath[] = "/run/manifest.json";

Manifest RandomManifest(std::mt19937_64* random) {
  const auto any = [&] { return (*random)() >> ((*random)() % 64); };  // with any number of bits
  const auto any_double = [&] { return std::uniform_real_distribution<>(-1, 1)(*random) * static_cast<double>(any()); };
  const auto any_text = [&] {
    constexpr const char* kPieces[] = {"a", "\"", "\\", "\n", "}", "é", "\x01", "人脸", "\U0001f600", ": ", "crc32c"};
    std::string text;
    for (uint64_t i = any() % 20; i > 0; --i) text += kPieces[(*random)() % std::size(kPieces)];
    return text;
  };
  Manifest manifest;
  manifest.step = any();
  manifest.lineage = any();
  manifest.incarnation = any();
  manifest.view_counter = any();
  manifest.num_classes = static_cast<int64_t>(any() >> 1);
  manifest.embedding_size = static_cast<int64_t>(any() >> 1);
  manifest.data = {any(), static_cast<int64_t>(any()), any()};
  manifest.config_yaml = any_text();
  manifest.version = any_text();
  manifest.created = any_text();
  manifest.epoch = any_double();
  manifest.skipped = any();
  manifest.skips_in_a_row = any();
  manifest.corrupt_records = any();
  manifest.corrupt_in_epoch = any();
  manifest.verified_step = any();
  manifest.best.accuracy = any_double();
  manifest.best.step = any();
  if (any() % 2 == 0) manifest.best.sets = {any_text(), "cfp_fp"};
  for (uint64_t i = 0, count = any() % 4; i < count; ++i) {
    FileRecord& file = manifest.files.emplace_back();
    file.name = absl::StrCat(i, "-é.safetensors");
    const uint64_t blocks = (*random)() % 5;
    file.bytes = blocks == 0 ? 0 : (blocks - 1) * FileRecord::kBlockBytes + 1 + (*random)() % FileRecord::kBlockBytes;
    file.crc32c = static_cast<uint32_t>((*random)());
    for (uint64_t block = 0; block < blocks; ++block) file.block_crc32c.push_back(static_cast<uint32_t>((*random)()));
  }
  return manifest;
}

// A manifest's `text` with the CRC recomputed, as after a deliberate change.
std::string Resealed(absl::string_view text) {
  const size_t seal = text.rfind("  \"crc32c\"");
  const absl::string_view body = text.substr(0, seal);
  const uint32_t crc = Crc32c(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(body.data()), body.size()));
  return absl::StrCat(body, absl::StrFormat("  \"crc32c\": \"%08x\"\n}\n", crc));
}

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() {
    manifest_.step = 17;
    manifest_.num_classes = 5;
    manifest_.embedding_size = 512;
    manifest_.files = {{"a.safetensors", 3, 7, {7}}, {"b.safetensors", FileRecord::kBlockBytes + 1, 9, {1, 2}}};
  }

  void ExpectRefusedWithReplaced(absl::string_view from, absl::string_view to, const std::string& reason) {
    const std::string text = *FormatManifest(manifest_);
    const std::string changed = absl::StrReplaceAll(text, {{from, to}});
    ASSERT_NE(changed, text) << from;
    const absl::Status status = ParseManifest(Resealed(changed), kPath).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << to;
    EXPECT_THAT(std::string(status.message()), StartsWith(kPath));
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }

  Manifest manifest_;
};

TEST_F(ManifestTest, WhateverItHoldsIsReadBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    const Manifest manifest = RandomManifest(&random);
    const absl::StatusOr<std::string> text = FormatManifest(manifest);
    ASSERT_TRUE(text.ok()) << text.status();
    const absl::StatusOr<Manifest> read = ParseManifest(*text, kPath);
    ASSERT_TRUE(read.ok()) << read.status() << "\n" << *text;
    EXPECT_EQ(*read, manifest);
  }
}

TEST_F(ManifestTest, ThatOfAnEarlierVersionDoesNotSayOfWhichSetsTheBestVerificationWas) {
  manifest_.best = {.accuracy = 0.9, .step = 10};
  const std::string text = *FormatManifest(manifest_);
  EXPECT_THAT(text, Not(HasSubstr("best_sets")));
  EXPECT_EQ(ParseManifest(text, kPath).value_or(Manifest()), manifest_);
  manifest_.best.sets = {"lfw"};
  EXPECT_EQ(ParseManifest(*FormatManifest(manifest_), kPath).value_or(Manifest()), manifest_);
  ExpectRefusedWithReplaced("\"lfw\"", "7", "no checkpoint's manifest");
}

TEST_F(ManifestTest, ThatOfAnEarlierVersionHasNeitherLineageNorViewNorVerifiedStep) {
  std::string text = *FormatManifest(manifest_);
  for (const char* field : {"lineage", "view_counter", "verified_step"}) EXPECT_THAT(text, Not(HasSubstr(field)));
  const Manifest read = ParseManifest(text, kPath).value_or(Manifest());
  EXPECT_EQ(read, manifest_);
  EXPECT_EQ(read.state(), (StatePoint{17, 0}));
  EXPECT_EQ(read.view_counter, 1u);

  manifest_.lineage = 0x0123456789abcdef;
  manifest_.view_counter = 3;
  manifest_.verified_step = 12;
  text = *FormatManifest(manifest_);
  EXPECT_THAT(text, HasSubstr("\"lineage\": \"0123456789abcdef\""));
  EXPECT_EQ(ParseManifest(text, kPath).value_or(Manifest()), manifest_);
  EXPECT_EQ(manifest_.state(), (StatePoint{17, 0x0123456789abcdef}));
  ExpectRefusedWithReplaced("\"0123456789abcdef\"", "\"0123456789abcde\"", "no hexadecimal number");
  ExpectRefusedWithReplaced("\"0123456789abcdef\"", "\"0000000000000000\"", "something else");
  ExpectRefusedWithReplaced("\"0123456789abcdef\"", "7", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"view_counter\": 3", "\"view_counter\": 1", "something else");
  ExpectRefusedWithReplaced("\"view_counter\": 3", "\"view_counter\": \"3\"", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"verified_step\": 12", "\"verified_step\": 0", "something else");
  ExpectRefusedWithReplaced("\"verified_step\": 12", "\"verified_step\": []", "no checkpoint's manifest");
}

TEST_F(ManifestTest, TheRunsCountersAreKeptInIt) {
  const RunCounters counters{.skipped = 4,
                             .skips_in_a_row = 2,
                             .corrupt_records = 5,
                             .corrupt_in_epoch = 1,
                             .verified_step = 12,
                             .best = {0.93, 12, {"lfw"}}};
  EXPECT_EQ(CountersOf(manifest_), RunCounters());
  Keep(counters, &manifest_);
  EXPECT_EQ(manifest_.verified_step, 12u);
  const absl::StatusOr<Manifest> read = ParseManifest(*FormatManifest(manifest_), kPath);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(CountersOf(*read), counters);
  EXPECT_EQ(read->step, 17u) << "and nothing else is changed";
}

TEST_F(ManifestTest, ItsLastFieldIsTheCrcOfWhatIsBefore) {
  const std::string text = *FormatManifest(manifest_);
  const size_t seal = text.rfind("  \"crc32c\": \"");
  ASSERT_NE(seal, std::string::npos);
  EXPECT_EQ(text.size() - seal, 25u) << "nothing follows";
  EXPECT_EQ(Resealed(text), text);
  EXPECT_THAT(text, HasSubstr("\"block_crc32c\": \"0000000100000002\""));
}

TEST_F(ManifestTest, DamageIsToldFromAnotherFormat) {
  const std::string text = *FormatManifest(manifest_);
  EXPECT_THAT(std::string(ParseManifest("", kPath).status().message()), HasSubstr("does not end with its CRC-32C"));
  EXPECT_THAT(std::string(ParseManifest(text + "\n", kPath).status().message()), HasSubstr("does not end with"));
  EXPECT_THAT(std::string(ParseManifest(absl::StrReplaceAll(text, {{"17", "18"}}), kPath).status().message()),
              HasSubstr("its bytes have the CRC-32C"));
  ExpectRefusedWithReplaced("arcshard checkpoint 1", "arcshard checkpoint 2",
                            "is of the format 'arcshard checkpoint 2'");
}

// What grows with the square of the fields takes so long for these that the test is ended.
TEST_F(ManifestTest, ManyFieldsThatNobodyKnowsAreRefused) {
  std::string fields;
  for (int i = 0; i < 300'000; ++i) absl::StrAppend(&fields, "\"field", i, "\": 0, ");
  ExpectRefusedWithReplaced("\"step\"", fields + "\"step\"", "holds something else than a checkpoint's manifest");
}

TEST_F(ManifestTest, FieldsThatCannotBeAreRefusedEvenUnderARightCrc) {
  ExpectRefusedWithReplaced("\"step\": 17", "\"step\": -17", "something else");
  ExpectRefusedWithReplaced("\"step\": 17", "\"step\": 17.0", "something else");
  ExpectRefusedWithReplaced("\"step\": 17", "\"step\": \"17\"", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"step\": 17", "\"step\": 17, \"step\": 17", "something else");
  ExpectRefusedWithReplaced("\"step\": 17", "\"step\": 17, \"more\": 0", "something else");
  ExpectRefusedWithReplaced("\"step\"", "\"stop\"", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"step\": 17,", "\"step\": 17,,", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"num_classes\": 5", "\"num_classes\": -5", "-5 classes of 512 dimensions are impossible");
  ExpectRefusedWithReplaced("\"epoch\": 0.0", "\"epoch\": null", "no checkpoint's manifest");
  ExpectRefusedWithReplaced("\"fingerprint\": \"0000", "\"fingerprint\": \"000G", "no hexadecimal number");
  ExpectRefusedWithReplaced("\"bytes\": 3", "\"bytes\": 0", "has 0 blocks, but 8 digits");
  ExpectRefusedWithReplaced("\"bytes\": 3", "\"bytes\": 18446744073709551615", "has 17592186044416 blocks");
  ExpectRefusedWithReplaced("0000000100000002", "000000010000000", "15 digits");
  ExpectRefusedWithReplaced("b.safetensors", "a.safetensors", "is repeated");
  for (const char* name : {"", ".", "..", "../a", "/etc/passwd", "a/b", "manifest.json", "a\\u0000"}) {
    ExpectRefusedWithReplaced("b.safetensors", name, "cannot be a file's name");
  }
  ExpectRefusedWithReplaced("\"files\": [", "\"files\": " + std::string(100000, '[') + "[", "no checkpoint's manifest");
}

TEST_F(ManifestTest, AConfigurationWithAPathThatIsNotUtf8IsReadAsItWasWritten) {
  manifest_.config_yaml = "data: {train: \"w\xe4/\xc3\xa4\xff\x80\"}\n";
  const auto text = FormatManifest(manifest_);
  ASSERT_TRUE(text.ok()) << text.status();
  const auto read = ParseManifest(*text, "manifest.json");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, manifest_);
}

TEST_F(ManifestTest, OtherTextsThatAreNotUtf8AreRefusedWhenWritten) {
  manifest_.version = "1.0\xff";
  EXPECT_EQ(FormatManifest(manifest_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace arcshard
