#include "common/text/file_kind.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using std::string_literals::operator""s;

TEST(FileKindTest, WhatIsOftenFoundInPlaceOfAFileIsNamed) {
  EXPECT_EQ(FileKind("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n"),
            "a pointer of Git LFS, whose file was not fetched (git lfs pull)");
  for (const char* page : {"<!DOCTYPE html><p>", "<!doctype HTML>", "<HTML lang=en>", "\n \t<html>",
                           "\xef\xbb\xbf<html>", "<?xml version='1.0'?>\n<!DOCTYPE html><html xmlns=''>"}) {
    EXPECT_EQ(FileKind(page), "an HTML page") << page;
  }
  EXPECT_EQ(FileKind("<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>"), "an XML file");
  EXPECT_EQ(FileKind("<?xml version='1.0'?>\n<svg>"), "SVG");
  EXPECT_EQ(FileKind("\x1f\x8b\x08\0\0"s), "a gzip archive");
  EXPECT_EQ(FileKind("PK\3\4\x14"), "a zip archive");
  EXPECT_EQ(FileKind("BZh91AY&SY"), "a bzip2 archive");
  EXPECT_EQ(FileKind(absl::StrCat(std::string(257, 'n'), "ustar\0"s, "00")), "a tar archive");
  EXPECT_EQ(FileKind("\xff\xfe"
                     "a\0"s),
            "a text in UTF-16");
  EXPECT_EQ(FileKind("\xff\xd8\xff\xe0"), "a JPEG image");
}

TEST(FileKindTest, TextPicklesAndRecordsAreOfNoKindThatIsKnown) {
  for (const std::string& bytes :
       {""s, "a.jpg 0\n"s, "\x80\2]q\0"s, "\x0a\x23\xd7\xce\0\0\0\0"s, "BZhou/1.jpg 3\n"s, "PKU/1.jpg 3\n"s,
        "version 1\n"s, "<1>.jpg 0\n"s, std::string(5000, '\0'), "\xef\xbb\xbf"s}) {
    EXPECT_EQ(FileKind(bytes), "") << bytes;
    EXPECT_EQ(FileKindHint(bytes), "");
  }
  EXPECT_EQ(FileKindHint("PK\3\4"), "; it is a zip archive");
}

TEST(TextOfFileTest, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_EQ(*TextOfFile("list",
                        "\xef\xbb\xbf"
                        "a.jpg 0\n"),
            "a.jpg 0\n");
  EXPECT_EQ(*TextOfFile("list", "\xef\xbb\xbf"), "");
  EXPECT_EQ(*TextOfFile("list", "a.jpg 0\n"), "a.jpg 0\n");
}

TEST(TextOfFileTest, Utf16AndOtherKindsAreNamed) {
  for (const std::string& bytes : {"\xff\xfe"
                                   "a\0"s,
                                   "\xfe\xff\0a"s}) {
    EXPECT_EQ(TextOfFile("list", bytes).status(),
              absl::InvalidArgumentError("list is a text in UTF-16; save it as UTF-8 or ASCII"));
  }
  EXPECT_EQ(TextOfFile("list", "<html>").status(), absl::InvalidArgumentError("list is an HTML page"));
}

}  // namespace
}  // namespace arcshard
