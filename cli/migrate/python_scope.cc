#include "cli/migrate/python_scope.h"

#include <utility>

#include "cli/migrate/python_arithmetic.h"

namespace arcshard::cli {

std::string PythonScope::Root(const std::string& name) const {
  const auto alias = aliases_.find(name);
  return alias == aliases_.end() ? name : alias->second;
}

const PythonValue* PythonScope::Find(const Path& path) const {
  const PythonValue* found = names_.Find(Root(path[0]));
  for (size_t i = 1; i < path.size() && found != nullptr; ++i) {
    found = found->dict() == nullptr ? nullptr : found->dict()->Find(path[i]);
  }
  return found;
}

PythonValue* PythonScope::Find(const Path& path) {
  return const_cast<PythonValue*>(static_cast<const PythonScope*>(this)->Find(path));
}

bool PythonScope::Set(const Path& path, PythonValue value) {
  if (path.size() == 1) {
    aliases_.erase(path[0]);
    names_.Set(path[0], std::move(value));
    return true;
  }
  PythonValue* const holder = Find(Path(path.begin(), path.end() - 1));
  if (holder == nullptr || holder->dict() == nullptr) return false;
  holder->dict()->Set(path.back(), std::move(value));
  return true;
}

void PythonScope::SetAlias(const std::string& name, const std::string& of) {
  const std::string root = Root(of);
  if (root != name) aliases_[name] = root;
}

PythonValue PythonScope::Counted(PythonValue value) {
  made_ += SizeOf(value);
  return exhausted() ? UnknownValue("it is too large") : std::move(value);
}

}  // namespace arcshard::cli
