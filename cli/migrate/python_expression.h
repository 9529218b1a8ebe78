#pragma once

#include <cstddef>
#include <vector>

#include "cli/migrate/python_scope.h"
#include "cli/migrate/python_tokens.h"
#include "cli/migrate/python_value.h"

namespace arcshard::cli {

// Reads expressions, from *position on, and computes them where they only need what `scope` defines.
class PythonExpressions {
 public:
  PythonExpressions(const std::vector<PythonToken>& tokens, size_t* position, PythonScope* scope)
      : tokens_(tokens), position_(position), scope_(scope) {}

  // An expression, or several with commas, which are a tuple. Where it is not understood, the value is unknown and
  // *position is somewhere inside.
  PythonValue Read();
  PythonValue ReadOne();

  const PythonToken& token() const { return tokens_[*position_]; }
  bool IsOperator(const char* text) const;
  bool IsName(const char* text) const;
  void Next();  // stays at the end

 private:
  class Nesting;

  PythonValue Or();
  PythonValue And();
  PythonValue Not();
  PythonValue Comparison();
  PythonValue Sum();
  PythonValue Term();
  PythonValue Factor();
  PythonValue Power();
  PythonValue Primary();
  PythonValue Atom();
  PythonValue Named();
  PythonValue Call(const PythonScope::Path& function);
  PythonValue Item(const PythonValue& of);
  PythonValue Items(const char* end, bool is_tuple);
  PythonValue DictDisplay();
  PythonValue TextDisplay();

  const std::vector<PythonToken>& tokens_;
  size_t* const position_;
  PythonScope* const scope_;
  int depth_ = 0;
};

}  // namespace arcshard::cli
