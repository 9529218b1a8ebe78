#include "cli/report/markup.h"

#include <cmath>

#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

TEST(MarkupTest, WhatHtmlReadsAsMarkupIsText) {
  EXPECT_EQ(Escape("<script>alert('a' & \"b\")</script>"),
            "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;");
  EXPECT_EQ(Escape("zwölf ± 日本 🙂\n\t"), "zwölf ± 日本 🙂\n\t");
}

TEST(MarkupTest, WhatXmlDoesNotAllowIsReplaced) {
  const std::string one = "\xef\xbf\xbd";
  for (const char* bad : {"\x01", "\x1b", "\r", "\x7f", "\xff", "\x80", "\xc3", "\xc0\x80", "\xed\xa0\x80",
                          "\xe0\x80\x80", "\xef\xbf\xbf", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xc2\x85"}) {
    const std::string escaped = Escape(std::string("a") + bad + "b");
    EXPECT_EQ(escaped.substr(0, 1 + one.size()), "a" + one) << bad;
    EXPECT_EQ(escaped.back(), 'b') << bad;
  }
  EXPECT_EQ(Escape(absl::string_view("a\0b", 3)), "a" + one + "b");
}

TEST(MarkupTest, NumbersAreShort) {
  EXPECT_EQ(ShortNumber(0), "0");
  EXPECT_EQ(ShortNumber(-0.25), "-0.25");
  EXPECT_EQ(ShortNumber(1500), "1500");
  EXPECT_EQ(ShortNumber(12000), "12k");
  EXPECT_EQ(ShortNumber(3.5e6), "3.5M");
  EXPECT_EQ(ShortNumber(std::nan("")), "-");
}

TEST(MarkupTest, BytesHaveUnits) {
  EXPECT_EQ(ShortBytes(4 << 20), "4.0 MiB");
  EXPECT_EQ(ShortBytes(double{1 << 30} * 20), "20.0 GiB");
  EXPECT_EQ(ShortBytes(0), "-");
  EXPECT_EQ(ShortBytes(std::nan("")), "-");
}

}  // namespace
}  // namespace arcshard::cli
