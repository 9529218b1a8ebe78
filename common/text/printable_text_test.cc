#include "common/text/printable_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(PrintableTextTest, OrdinaryTextOfAnyLanguageIsUnchanged) {
  for (const char* text : {"", "a b", "runs/größe — 3 × 4 ± 1", "人脸", "😀"}) {
    EXPECT_EQ(PrintableLine(text), text);
    EXPECT_EQ(PrintableText(text), text);
  }
}

TEST(PrintableTextTest, NothingCanForgeALine) {
  EXPECT_EQ(PrintableLine("a\nerror: forged\r\tb\v\f"), "a error: forged  b  ");
  EXPECT_EQ(PrintableLine("a\u2028b\u2029c\u0085d"), "a\\u2028b\\u2029c\\u0085d");
  EXPECT_EQ(PrintableText("a\nb\r\n"), "a\nb \n");
}

TEST(PrintableTextTest, NothingCanCommandTheTerminal) {
  EXPECT_EQ(PrintableLine("\x1b[31mred\x1b[0m\a\x7f"), "\\x1b[31mred\\x1b[0m\\x07\\x7f");
  EXPECT_EQ(PrintableLine(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(PrintableLine("\u009b31mred\u0080\u009f"), "\\u009b31mred\\u0080\\u009f") << "C1 as UTF-8";
  EXPECT_EQ(PrintableLine("\x9b"
                          "31mred\x90"),
            "\\x9b31mred\\x90")
      << "C1 as bytes";
}

TEST(PrintableTextTest, NothingCanReorderItsWords) {
  EXPECT_EQ(PrintableLine("a\u202eb\u2066c\u200fd\ufeff"), "a\\u202eb\\u2066c\\u200fd\\ufeff");
}

TEST(PrintableTextTest, BytesThatAreNoUtf8AreShown) {
  EXPECT_EQ(PrintableLine("a\xff\xfe"), "a\\xff\\xfe");
  EXPECT_EQ(PrintableLine("\xc3"), "\\xc3") << "cut off";
  EXPECT_EQ(PrintableLine("\xe4\xba"), "\\xe4\\xba") << "cut off";
  EXPECT_EQ(PrintableLine("\xc0\x8a\xe0\x80\x8a"), "\\xc0\\x8a\\xe0\\x80\\x8a") << "newlines in too many bytes";
  EXPECT_EQ(PrintableLine("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(PrintableLine("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "past the last character";
}

TEST(PrintableTextTest, PlainTextIsAscii) {
  EXPECT_EQ(PlainText("accuracy 0.93 ± 0.01, 3×4, s·cos — …\n"), "accuracy 0.93 +- 0.01, 3x4, s*cos - ...\n");
  EXPECT_EQ(PlainText("━━╸──"), "==>--");
  EXPECT_EQ(PlainText("人 \x1b[K"), "\\u4eba \x1b[K");
}

TEST(PrintableTextTest, WhatIsNoTerminalTakesUnicodeInAnyLocale) {
  setenv("LC_ALL", "C", 1);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_TRUE(ShowsUnicode(ends[1]));
  close(ends[0]);
  close(ends[1]);
  unsetenv("LC_ALL");
}

class LocaleTest : public ::testing::Test {
 protected:
  LocaleTest() : terminal_(posix_openpt(O_RDWR | O_NOCTTY)) { Set(nullptr, nullptr, nullptr); }
  ~LocaleTest() override {
    Set(nullptr, nullptr, nullptr);
    close(terminal_);
  }

  static void Set(const char* all, const char* type, const char* language) {
    const auto set = [](const char* name, const char* value) {
      value == nullptr ? unsetenv(name) : setenv(name, value, 1);
    };
    set("LC_ALL", all);
    set("LC_CTYPE", type);
    set("LANG", language);
  }

  const int terminal_;
};

TEST(ShortenedTest, OnlyTheBeginningOfALongTextStandsInASentence) {
  EXPECT_EQ(Shortened("a name"), "a name");
  EXPECT_EQ(Shortened(std::string(120, 'a')), std::string(120, 'a'));
  EXPECT_EQ(Shortened(std::string(5'000'000, 'a')), std::string(120, 'a') + "…");
  EXPECT_EQ(Shortened(std::string(119, 'a') + "é and more"), std::string(119, 'a') + "…") << "no half of a character";
}

TEST_F(LocaleTest, ATerminalTakesUnicodeWhereTheLocaleNamesUtf8) {
  if (terminal_ < 0) GTEST_SKIP() << "this machine has no terminals";
  EXPECT_FALSE(ShowsUnicode(terminal_)) << "no locale is that of POSIX";
  Set(nullptr, nullptr, "en_US.UTF-8");
  EXPECT_TRUE(ShowsUnicode(terminal_));
  Set("", "", "C.utf8");
  EXPECT_TRUE(ShowsUnicode(terminal_));
  Set("C", nullptr, "en_US.UTF-8");
  EXPECT_FALSE(ShowsUnicode(terminal_)) << "LC_ALL comes first";
  Set(nullptr, "POSIX", "en_US.UTF-8");
  EXPECT_FALSE(ShowsUnicode(terminal_));
  Set("de_DE@euro", nullptr, nullptr);
  EXPECT_FALSE(ShowsUnicode(terminal_)) << "Latin-9";
}

}  // namespace
}  // namespace arcshard
