#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace arcshard::cli {

struct PythonValue;

// A dict, or a namespace, in the order in which its keys were set. Keys are texts.
class PythonDict {
 public:
  // Defined where PythonValue is complete: Clang instantiates what they call at once.
  PythonDict();
  PythonDict(const PythonDict&);
  PythonDict(PythonDict&&) noexcept;
  PythonDict& operator=(const PythonDict&);
  PythonDict& operator=(PythonDict&&) noexcept;
  ~PythonDict();

  // Null: there is no such key.
  const PythonValue* Find(absl::string_view key) const;
  PythonValue* Find(absl::string_view key);
  void Set(absl::string_view key, PythonValue value);
  const std::vector<std::pair<std::string, PythonValue>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, PythonValue>> items_;
};

// A value that a configuration in Python has, as far as it can be told without executing it.
struct PythonValue {
  struct None {};
  // The value is not known: a call, a name that nothing defines.
  struct Unknown {
    std::string why;  // "it calls os.getenv"
  };
  struct List {
    std::vector<PythonValue> items;
    bool is_tuple = false;
  };

  std::variant<None, bool, int64_t, double, std::string, List, PythonDict, Unknown> value;

  bool is_none() const { return std::holds_alternative<None>(value); }
  const Unknown* unknown() const { return std::get_if<Unknown>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  const List* list() const { return std::get_if<List>(&value); }
  const PythonDict* dict() const { return std::get_if<PythonDict>(&value); }
  PythonDict* dict() { return std::get_if<PythonDict>(&value); }
};

// The number that a value is: an int, a float or a bool. False: it is none.
bool NumberOf(const PythonValue& value, double* number);

bool IsTrue(const PythonValue& value);
bool AreEqual(const PythonValue& a, const PythonValue& b);  // as == has it; unknown values equal nothing

// Values inside the value, and characters of texts: what bounds the memory that a file can ask for.
size_t SizeOf(const PythonValue& value);

// As Python's repr would print it; "…" in place of what is longer than `most` bytes.
std::string Describe(const PythonValue& value, size_t most = 80);

}  // namespace arcshard::cli
