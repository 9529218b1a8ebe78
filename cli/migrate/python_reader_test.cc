#include "cli/migrate/python_reader.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

PythonModule Read(const std::string& source) {
  const absl::StatusOr<PythonModule> module = ReadPython(source, "c.py");
  EXPECT_TRUE(module.ok()) << module.status() << "\n" << source;
  return module.value_or(PythonModule());
}

// The value of `name` after the source, as Python prints it.
std::string ValueOf(const std::string& name, const std::string& source) {
  const PythonModule module = Read(source);
  const PythonValue* const value = module.names.Find(name);
  return value == nullptr ? "not defined" : Describe(*value, 200);
}

std::string Evaluated(const std::string& expression) { return ValueOf("x", "x = " + expression + "\n"); }

TEST(PythonReaderTest, LiteralsHaveTheirValues) {
  EXPECT_EQ(Evaluated("17"), "17");
  EXPECT_EQ(Evaluated("1_000_000"), "1000000");
  EXPECT_EQ(Evaluated("0x10"), "16");
  EXPECT_EQ(Evaluated("5e-4"), "5e-04");
  EXPECT_EQ(Evaluated("1."), "1.0");
  EXPECT_EQ(Evaluated("-.5"), "-0.5");
  EXPECT_EQ(Evaluated("True"), "True");
  EXPECT_EQ(Evaluated("None"), "None");
  EXPECT_EQ(Evaluated("'a' \"b\""), "'ab'");
  EXPECT_EQ(Evaluated("r'\\d' '\\x41\\n'"), "'\\dA\n'");
  EXPECT_EQ(Evaluated("'''two\nlines'''"), "'two\nlines'");
  EXPECT_EQ(Evaluated("(1.0, 0.5, 0.0)"), "(1.0, 0.5, 0.0)");
  EXPECT_EQ(Evaluated("1, 2"), "(1, 2)");
  EXPECT_EQ(Evaluated("(1)"), "1");
  EXPECT_EQ(Evaluated("()"), "()");
  EXPECT_EQ(Evaluated("[\n  'lfw',  # the first\n  'cfp_fp',\n]"), "['lfw', 'cfp_fp']");
  EXPECT_EQ(Evaluated("{'a': 1, 'b': [2]}"), "{'a': 1, 'b': [2]}");
  EXPECT_EQ(Evaluated("10000000000000000000000"), "1e+22") << "an int that does not fit is nearly the same float";
}

TEST(PythonReaderTest, ArithmeticIsPythons) {
  EXPECT_EQ(Evaluated("300 * 10000"), "3000000");
  EXPECT_EQ(Evaluated("7 // 2 + 7 % 3"), "4");
  EXPECT_EQ(Evaluated("-7 // 2"), "-4");
  EXPECT_EQ(Evaluated("-7 % 3"), "2");
  EXPECT_EQ(Evaluated("1 / 4"), "0.25");
  EXPECT_EQ(Evaluated("2 ** 10 - 2 ** -1"), "1023.5");
  EXPECT_EQ(Evaluated("-2 ** 2"), "-4");
  EXPECT_EQ(Evaluated("0.1 * 512 / 128"), "0.4");
  EXPECT_EQ(Evaluated("2 ** 64"), "18446744073709551616.0") << "shown as a float";
  EXPECT_EQ(Evaluated("'/data' + '/' + 'faces'"), "'/data/faces'");
  EXPECT_EQ(Evaluated("[1] + [2]"), "[1, 2]");
  EXPECT_EQ(Evaluated("int(3.9) + len('abc') + max(1, 2)"), "8");
  EXPECT_EQ(Evaluated("os.path.join('/a', 'b', 'c')"), "'/a/b/c'");
  EXPECT_EQ(Evaluated("1 if 2 > 1 and not 3 < 2 else 0"), "1");
  EXPECT_EQ(Evaluated("'a' in ['a', 'b'] or 1"), "True");
  EXPECT_EQ(Evaluated("[4, 5, 6][-1]"), "6");
}

TEST(PythonReaderTest, AttributesItemsAndUpdatesFillANamespace) {
  const std::string source = R"(
from easydict import EasyDict as edict
import os

config = edict()
config.lr = 0.1
config["network"] = "r50"
config.optim = edict(dict(kind="sgd"))
config.optim.momentum = .9
config.num_epoch = 20; config.warmup_epoch = config.num_epoch // 10
cfg = config
cfg.seed = 7
config.lr *= 2
config.a = config.b = 3
config.update({'lr2': config.lr})
size: int = 4
)";
  EXPECT_EQ(
      ValueOf("config", source),
      "{'lr': 0.2, 'network': 'r50', 'optim': {'kind': 'sgd', 'momentum': 0.9}, 'num_epoch': 20, 'warmup_epoch': 2, "
      "'seed': 7, 'a': 3, 'b': 3, 'lr2': 0.2}");
  EXPECT_EQ(ValueOf("size", source), "4");
  EXPECT_THAT(Read(source).notes, ElementsAre());
}

TEST(PythonReaderTest, OnlyTheBranchThatIsTrueIsRead) {
  const std::string source = R"(
dataset = "glint"
if dataset == "emore":
    x = 1
elif dataset == "glint":
    x = 2
    if x > 1:
        y = 5
else:
    x = 3
if __name__ == '__main__': x = 9
z = 1
if z == 1: v = 1
else: v = 2
if z == 2: w = 1
else: w = 2
z |= 4
)";
  EXPECT_EQ(ValueOf("x", source), "2");
  EXPECT_EQ(ValueOf("y", source), "5");
  EXPECT_EQ(ValueOf("v", source), "1");
  EXPECT_EQ(ValueOf("w", source), "2");
  EXPECT_THAT(ValueOf("z", source), HasSubstr("it computes with |"));
  EXPECT_EQ(ValueOf("else", source), "not defined");
}

TEST(PythonReaderTest, NothingIsExecutedAndWhatIsNotKnownIsSaid) {
  const PythonModule module = Read(R"(
import os
a = os.getenv("HOME")
b = a + "/data"
c = [i for i in range(3)]
d = f"{a}"
e = lambda x: x
os.system("touch /tmp/executed")
for i in range(3):
    g = 1
def h(x):
    return x
h2 = h
if os.path.exists("/x"):
    k = 1
else:
    k = 2
w, v = 1, 2
last = 1
)");
  const auto why = [&](const char* name) { return Describe(*module.names.Find(name)); };
  EXPECT_THAT(why("a"), HasSubstr("it calls os.getenv"));
  EXPECT_THAT(why("b"), HasSubstr("it calls os.getenv"));
  EXPECT_THAT(why("c"), HasSubstr("not understood"));
  EXPECT_THAT(why("d"), HasSubstr("formatted string"));
  EXPECT_THAT(why("e"), HasSubstr("not understood"));
  EXPECT_THAT(why("h2"), HasSubstr("nothing here defines h"));
  EXPECT_EQ(why("last"), "1");
  for (const char* name : {"g", "k", "w"}) EXPECT_EQ(module.names.Find(name), nullptr) << name;
  EXPECT_THAT(module.notes, ElementsAre(HasSubstr("line 9: what is below 'for' is left out"),
                                        AllOf(HasSubstr("line 14: "), HasSubstr("it calls os.path.exists")),
                                        HasSubstr("line 18: the statement is not understood")));
}

TEST(PythonReaderTest, WhatIsNoPythonIsRefusedWithItsLine) {
  const auto error = [](const std::string& source) {
    const absl::Status status = ReadPython(source, "c.py").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << source;
    return std::string(status.message());
  };
  EXPECT_EQ(error("a = 1\nb = 'x\n"), "c.py:2: the string that begins here has no end");
  EXPECT_EQ(error("a = (1,\n"), "c.py:2: the bracket ( is not closed");
  EXPECT_EQ(error("a = 1]\n"), "c.py:1: no bracket is open for this ]");
  EXPECT_EQ(error("if 1:\n    a = 1\n  b = 1\n"), "c.py:3: the line's indentation is that of no line before it");
  EXPECT_EQ(error("a = $\n"), "c.py:1: the byte 36 is no part of Python");
  EXPECT_THAT(error(std::string(1000, '(')), HasSubstr("nested too deeply"));
}

TEST(PythonReaderTest, NoFileTakesTooMuchMemoryOrStack) {
  std::string doubling = "a = ['0123456789']\n";
  for (int i = 0; i < 100; ++i) doubling += "a = [a, a]\n";
  EXPECT_EQ(ReadPython(doubling, "c.py").status().code(), absl::StatusCode::kResourceExhausted);
  std::string nested = "x = ";
  for (int i = 0; i < 60000; ++i) nested += "not ";
  EXPECT_TRUE(ReadPython(nested + "1\n", "c.py").ok());
  std::string minus(100000, '-');
  EXPECT_TRUE(ReadPython("x = " + minus + "1\n", "c.py").ok());
  std::string ifs;
  for (int i = 0; i < 30000; ++i) ifs += "if 1: ";
  EXPECT_TRUE(ReadPython(ifs + "x = 1\n", "c.py").ok());
  EXPECT_EQ(ReadPython(std::string(1 << 20, 'a'), "c.py").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(PythonReaderTest, AnyDamagedByteIsRefusedOrHarmless) {
  const std::string source =
      "config = edict()\nconfig.a = (1.0, 'x', [2, {'k': None}])\nif config.a[0] >= 1:\n    config.b = -3 // 2\n"
      "else: config['c'] = max(1, 2)\n";
  for (size_t position = 0; position < source.size(); ++position) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string damaged = source;
      damaged[position] = static_cast<char>(byte);
      (void)ReadPython(damaged, "c.py").ok();
    }
    (void)ReadPython(source.substr(0, position), "c.py").ok();
  }
}

}  // namespace
}  // namespace arcshard::cli
