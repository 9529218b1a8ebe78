#include "common/pickle/pickle_reader.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/pickle/pickle_number.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using Kind = PickleValue::Kind;
using std::string_literals::operator""s;

constexpr absl::string_view kGlobals[] = {"module name"};

absl::StatusOr<std::unique_ptr<PickleDocument>> Parse(const std::string& bytes) {
  return PickleDocument::Parse(bytes, kGlobals);
}

std::string Refusal(const std::string& bytes) {
  const absl::Status status = Parse(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

int64_t Integer(const std::string& bytes) {
  auto document = Parse(bytes);
  EXPECT_TRUE(document.ok()) << document.status();
  return document.ok() ? (*document)->root().integer : -999;
}

std::string Text(const std::string& bytes) {
  auto document = Parse(bytes);
  EXPECT_TRUE(document.ok()) << document.status();
  return document.ok() ? std::string((*document)->root().text) : "";
}

TEST(PickleReaderTest, IntegersOfEveryFormHaveTheirValue) {
  EXPECT_EQ(Integer("I-17\n."), -17);
  EXPECT_EQ(Integer("I01\n."), 1);
  EXPECT_EQ(Integer("L123456789012L\n."), 123456789012);
  EXPECT_EQ(Integer("L5\n."), 5);
  EXPECT_EQ(Integer("J\xff\xff\xff\xff."), -1);
  EXPECT_EQ(Integer("K\xff."), 255);
  EXPECT_EQ(Integer("M\x01\x02."), 513);
  EXPECT_EQ(Integer("\x8a\0."s), 0);
  EXPECT_EQ(Integer("\x8a\1\xff."s), -1);
  EXPECT_EQ(Integer("\x8a\2\xff\0."s), 255);
  EXPECT_EQ(Integer("\x8a\x08\0\0\0\0\0\0\0\x80."s), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Integer("\x8b\1\0\0\0\x7f."s), 127);
  EXPECT_EQ((*Parse("I00\n."))->root().kind, Kind::kBool);
  EXPECT_EQ((*Parse("I0\n."))->root().kind, Kind::kInt);
}

TEST(PickleReaderTest, TextsOfEveryFormHaveTheirValue) {
  EXPECT_EQ(Text("S'a\\x00\\n\\t\\r\\\\\\'\"'\n."), "a\0\n\t\r\\'\""s);
  EXPECT_EQ(Text("S\"it's\"\n."), "it's");
  EXPECT_EQ(Text("T\3\0\0\0abc."s), "abc");
  EXPECT_EQ(Text("U\3abc."), "abc");
  EXPECT_EQ(Text("B\3\0\0\0abc."s), "abc");
  EXPECT_EQ(Text("C\3abc."), "abc");
  EXPECT_EQ(Text("\x8e\3\0\0\0\0\0\0\0abc."s), "abc");
  EXPECT_EQ(Text("\x96\3\0\0\0\0\0\0\0abc."s), "abc");
  EXPECT_EQ(Text("V\\u005cn\xe9\\u20ac\\U0001f600\n."), "\\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(Text("X\2\0\0\0\xc3\xa9."s), "\xc3\xa9");
  EXPECT_EQ(Text("\x8c\2\xc3\xa9."), "\xc3\xa9");
  EXPECT_EQ(Text("\x8d\2\0\0\0\0\0\0\0\xc3\xa9."s), "\xc3\xa9");
}

TEST(PickleReaderTest, ContainersAndMemoKeepTheirOrder) {
  auto document = Parse("(lp0\nI1\na(I2\nI3\nI4\ntag0\nl0\x86."s);
  EXPECT_FALSE(document.ok());
  document = Parse("]q\0(K\1K\2e2K\3a\x86."s);
  ASSERT_TRUE(document.ok()) << document.status();
  const PickleValue& root = (*document)->root();
  ASSERT_EQ(root.kind, Kind::kTuple);
  ASSERT_EQ(root.items.size(), 2u);
  EXPECT_EQ(root.items[0], root.items[1]) << "DUP shares";
  ASSERT_EQ(root.items[0]->items.size(), 3u);
  EXPECT_EQ(root.items[0]->items[2]->integer, 3);
}

TEST(PickleReaderTest, CallsAreKeptAndNotMade) {
  auto document = Parse("cmodule\nname\nK\7\x85RNb.");
  ASSERT_TRUE(document.ok()) << document.status();
  const PickleValue& root = (*document)->root();
  ASSERT_EQ(root.kind, Kind::kObject);
  ASSERT_EQ(root.items.size(), 3u);
  EXPECT_EQ(root.items[0]->text, "module name");
  EXPECT_EQ(root.items[1]->items[0]->integer, 7);
  EXPECT_EQ(root.items[2]->kind, Kind::kNone);
  EXPECT_TRUE(Parse("\x8c\6module\x8c\4name\x93)R.").ok());
}

TEST(PickleReaderTest, DictsAndFloatsOfEveryFormHaveTheirValue) {
  for (const std::string& bytes : {"(K\1F2.5\nd."s, "}K\1F2.5\ns."s, "}(K\1G\x40\x04\0\0\0\0\0\0u."s}) {
    auto document = Parse(bytes);
    ASSERT_TRUE(document.ok()) << document.status();
    const PickleValue& root = (*document)->root();
    ASSERT_EQ(root.kind, Kind::kDict);
    ASSERT_EQ(root.entries.size(), 1u);
    EXPECT_EQ(root.entries[0].first->integer, 1);
    EXPECT_EQ(root.entries[0].second->kind, Kind::kFloat);
    EXPECT_EQ(root.entries[0].second->real, 2.5);
  }
}

TEST(PickleReaderTest, AnObjectKeepsTheEntriesThatAreSetInIt) {
  auto document = Parse("cmodule\nname\n)RK\1K\2s}b."s);
  ASSERT_TRUE(document.ok()) << document.status();
  const PickleValue& root = (*document)->root();
  ASSERT_EQ(root.kind, Kind::kObject);
  ASSERT_EQ(root.entries.size(), 1u);
  EXPECT_EQ(root.entries[0].second->integer, 2);
  EXPECT_EQ(root.items[2]->kind, Kind::kDict);
}

TEST(PickleReaderTest, APersistentIdIsKept) {
  auto document = Parse("X\3\0\0\0key\x85Q."s);
  ASSERT_TRUE(document.ok()) << document.status();
  ASSERT_EQ((*document)->root().kind, Kind::kPersistent);
  EXPECT_EQ((*document)->root().items[0]->items[0]->text, "key");
}

TEST(PickleReaderTest, APrefixEndsWhereItsPickleEnds) {
  auto document = PickleDocument::ParsePrefix("K\7.N.", kGlobals);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ((*document)->root().integer, 7);
  EXPECT_EQ((*document)->length(), 3u);
}

TEST(PickleReaderTest, AGlobalThatIsNotAllowedIsRefusedByName) {
  EXPECT_EQ(Refusal("\x80\2cos\nsystem\n(S'rm'\ntR."),
            "opcode GLOBAL at offset 2 names os.system, which is not allowed here");
  EXPECT_EQ(Refusal("\x8c\2os\x8c\6system\x93)R."),
            "opcode STACK_GLOBAL at offset 12 names os.system, which is not allowed here");
  EXPECT_THAT(Refusal("cmodule name\n\n)R."), HasSubstr("not allowed"));
}

TEST(PickleReaderTest, AByteThatIsNoOpcodeIsRefusedWithItsOffset) {
  for (const auto& [code, name] : {std::pair('?', "0x3f"), {'\xff', "0xff"}, {'\0', "0x00"}, {'\x99', "0x99"}}) {
    EXPECT_EQ(Refusal(absl::StrCat("N0", std::string(1, code), "\n\n.")),
              absl::StrCat("opcode ", name, " at offset 2 is not one of Python's"));
  }
}

// The description of the value that a pickle with any globals makes.
std::string Described(const std::string& bytes) {
  const auto document = PickleDocument::Parse(bytes, std::nullopt);
  return document.ok() ? DescribePickleValue((*document)->root()) : std::string(document.status().message());
}

TEST(PickleReaderTest, WithoutAListEveryGlobalIsParsedOverAndNamed) {
  EXPECT_EQ(Described("cos\nsystem\n(S'rm'\ntR."), "an object of os.system");
  EXPECT_EQ(Described("cos\nsystem\n."), "the global os.system");
  EXPECT_EQ(Described("ca\x1b[31m\nb\n)R."), "an object of a\\x1b[31m.b") << "safe to print";
  EXPECT_EQ(Described("ca\nb\n)\x81."), "an object of a.b") << "NEWOBJ";
  EXPECT_EQ(Described("ca\nb\n)}\x92."), "an object of a.b") << "NEWOBJ_EX";
  EXPECT_EQ(Described("(K\1K\2ia\nb\n."), "an object of a.b") << "INST";
  EXPECT_EQ(Described("(ca\nb\nK\1o."), "an object of a.b") << "OBJ";
  EXPECT_EQ(Described("\x82\5)R."), "an object of copyreg.extension.5");
  EXPECT_EQ(Described("\x83\5\1)R."), "an object of copyreg.extension.261");
  EXPECT_EQ(Described("\x84\5\0\1\0)R."s), "an object of copyreg.extension.65541");
  EXPECT_EQ(Described("ca\nb\n)R)R."), "an object") << "a call of what a call returned";
  EXPECT_EQ(Described("ca\nb\nca\nb\n)RR."), "an object") << "a call with what a call returned";
  EXPECT_EQ(Described("Pkey\n)R."), "an object") << "a call of what lies elsewhere";
  EXPECT_EQ(Described("Pkey\n}b."), "a persistent id");
  EXPECT_EQ(Described("ca\nb\n}b."), "the global a.b") << "a class with a state";
  EXPECT_EQ(Described("ca\nb\n)R]a(K\1K\2eK\1K\2s}b(K\1\x90Nb."), "an object of a.b")
      << "of a class that is a list, a dict and a set";
  EXPECT_EQ(Described("ccopy_reg\n_reconstructor\n(ca\nb\nc__builtin__\nobject\nNtR."), "an object of a.b");
  EXPECT_EQ(Described("\x97\x98."), "bytes outside the pickle");
  EXPECT_EQ(Described("\x8f(K\1K\2\x90."), "a set");
  EXPECT_EQ(Described("(K\1K\2\x91."), "a set");
  EXPECT_EQ(Described("\x8a\x09\0\0\0\0\0\0\0\0\1."s), "an int of more than 64 bits");
  EXPECT_EQ(Described("\x8b\x09\0\0\0\0\0\0\0\0\0\0\0\1."s), "an int of more than 64 bits");
  EXPECT_EQ(Described("L-99999999999999999999L\n."), "an int of more than 64 bits");
  EXPECT_EQ(Described("I99999999999999999999\n."), "an int of more than 64 bits");
}

TEST(PickleReaderTest, AGlobalThatIsCalledByANameAloneIsNoneOfThem) {
  EXPECT_THAT(Refusal("S'module name'\n)R."), HasSubstr("calls bytes with a tuple"));
}

TEST(PickleReaderTest, NumbersThatAreWholeAreIntegers) {
  const auto integer = [](const std::string& bytes) {
    const auto document = PickleDocument::Parse(bytes, std::nullopt);
    EXPECT_TRUE(document.ok()) << document.status();
    return PickleInteger((*document)->root());
  };
  const auto scalar = [&](const std::string& type, const std::string& bytes, const std::string& order = "<") {
    return integer(absl::StrCat("cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U", std::string(1, '\2'), type,
                                "tR(K\3U\1", order, "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff", "K", std::string(1, '\0'),
                                "tbU", std::string(1, static_cast<char>(bytes.size())), bytes, "tR."));
  };
  EXPECT_EQ(integer("K\7."), 7);
  EXPECT_EQ(integer("F7.0\n."), 7);
  EXPECT_EQ(integer("F7.5\n."), std::nullopt);
  EXPECT_EQ(integer("F1e300\n."), std::nullopt);
  EXPECT_EQ(integer("Fnan\n."), std::nullopt);
  EXPECT_EQ(integer("N."), std::nullopt);
  EXPECT_EQ(scalar("i8", "\7\0\0\0\0\0\1\0"s), 7 + (int64_t{1} << 48));
  EXPECT_EQ(scalar("i4", "\xff\xff\xff\xff"), -1);
  EXPECT_EQ(scalar("u8", "\xff\xff\xff\xff\xff\xff\xff\xff"), std::nullopt) << "it does not fit";
  EXPECT_EQ(scalar("f4", "\0\0\xe0\x40"s), 7);
  EXPECT_EQ(scalar("i8", "\7\0\0\0"s), std::nullopt) << "too few bytes";
  EXPECT_EQ(scalar("i4", "\0\0\0\7"s, ">"), std::nullopt) << "of another byte order";
  EXPECT_EQ(scalar("M8", "\7\0\0\0\0\0\0\0"s), std::nullopt) << "a date";
}

TEST(PickleReaderTest, WhatTheStackCannotServeIsRefused) {
  for (const std::string& bytes : {"."s,          "0."s,
                                   "2."s,         "1."s,
                                   "e."s,         "t."s,
                                   "l."s,         "a."s,
                                   "R."s,         "b."s,
                                   "\x85."s,      "N\x86."s,
                                   "q\0."s,       "h\0."s,
                                   "g7\n."s,      "NNa."s,
                                   "N(Ne."s,      "NN."s,
                                   "(N."s,        "N(."s,
                                   "N)R."s,       "cmodule\nname\nNR."s,
                                   "NNb."s,       "(o."s,
                                   "N)\x81."s,    "\x92."s,
                                   "(ia\nb"s,     "\x98."s,
                                   "](K\1\x90."s, "\x91."s,
                                   "\x93."s,      "NN\x93."s,
                                   "N(a."s,       "s."s,
                                   "}Ns."s,       "NNNs."s,
                                   "(u."s,        "}(Nu."s,
                                   "(Nd."s,       "Q."s,
                                   "d."s}) {
    EXPECT_THAT(Refusal(bytes), HasSubstr("opcode ")) << bytes;
  }
}

TEST(PickleReaderTest, WhatIsMisspeltIsRefused) {
  for (const std::string& bytes : {"Sabc\n."s,
                                   "S'abc\n."s,
                                   "S'\n."s,
                                   "S'\\'\n."s,
                                   "S'\\x1'\n."s,
                                   "S'\\q'\n."s,
                                   "V\\n\n."s,
                                   "V\\u12\n."s,
                                   "V\\Uffffffff\n."s,
                                   "V\\\n."s,
                                   "I\n."s,
                                   "I1x\n."s,
                                   "I9999999999999999999x\n."s,
                                   "L1LL\n."s,
                                   "pq\n."s,
                                   "Np-1\n."s,
                                   "\x80\6."s,
                                   "\x95\xff\0\0\0\0\0\0\0N."s,
                                   "Fx\n."s,
                                   "F\n."s,
                                   "I1"s}) {
    EXPECT_THAT(Refusal(bytes), HasSubstr("opcode ")) << bytes;
  }
}

TEST(PickleReaderTest, LengthsBeyondTheEndAreRefusedAndTakeNoMemory) {
  for (const std::string& bytes :
       {"T\xff\xff\xff\xff"s, "B\xff\xff\xff\x7f."s, "U\2a"s, "C\2a"s, "\x8e\xff\xff\xff\xff\xff\xff\xff\xff."s,
        "\x96\0\0\0\0\0\0\0\x80."s, "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"s, "X\1\0"s, "J\1"s,
        "\x8a\x09\0\0\0\0\0\0\0\0"s, "\x8b\xff\xff\xff\xffN."s, ""s, "N"s}) {
    EXPECT_THAT(Refusal(bytes), HasSubstr("cut off")) << bytes;
  }
}

TEST(PickleReaderTest, BytesBehindTheEndAreRefused) {
  EXPECT_THAT(Refusal("N.N."), HasSubstr("ends at offset 2, but the file at 4"));
}

TEST(PickleReaderTest, TooManyOpcodesAreRefused) {
  const auto parse = [](int64_t opcodes) { return Parse(absl::StrCat(std::string(opcodes - 2, '('), "N.")).status(); };
  EXPECT_EQ(parse(PickleDocument::kMaxOpcodes + 1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(parse(PickleDocument::kMaxOpcodes).code(), absl::StatusCode::kInvalidArgument) << "marks are left";
}

TEST(PickleReaderTest, AListInItselfIsReadAndFreed) {
  auto document = Parse("]q\0h\0a."s);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ((*document)->root().items[0], &(*document)->root());
}

}  // namespace
}  // namespace arcshard
