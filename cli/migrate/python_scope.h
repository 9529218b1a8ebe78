#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/migrate/python_value.h"

namespace arcshard::cli {

// What is defined while a file is read.
class PythonScope {
 public:
  using Path = std::vector<std::string>;  // "config", "lr"

  // Null: there is no such value. The pointer is valid until the next change.
  const PythonValue* Find(const Path& path) const;
  PythonValue* Find(const Path& path);
  // False: what should hold the value does not exist or is no dict.
  bool Set(const Path& path, PythonValue value);
  // From now on `name` is another name of `of`, which is a dict.
  void SetAlias(const std::string& name, const std::string& of);

  void AddMaker(const std::string& name) { makers_.insert(name); }
  bool MakesDict(const std::string& function) const { return makers_.contains(function); }

  // The memory that values may take is bounded: counts `value` and returns it, or an unknown one.
  PythonValue Counted(PythonValue value);
  bool exhausted() const { return made_ > kMostMade; }

  const PythonDict& names() const { return names_; }

 private:
  static constexpr size_t kMostMade = 1'000'000;

  std::string Root(const std::string& name) const;

  PythonDict names_;
  std::map<std::string, std::string> aliases_;
  std::set<std::string> makers_ = {"edict", "EasyDict", "dict", "ConfigDict", "AttrDict", "Namespace"};
  size_t made_ = 0;  // SizeOf of all values so far
};

}  // namespace arcshard::cli
