"""The selectors of a PromQL expression, as far as rules about dashboards need them; promtool is what parses PromQL."""
import dataclasses
import re

_TOKEN = re.compile(r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:ms|[smhdwy])?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<range>\[[^\]]*\])
  | (?P<op>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>@])
)""", re.VERBOSE)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = _LABEL_LISTS | {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"}


@dataclasses.dataclass
class Selector:
    name: str
    matchers: list  # (label, operator, value)
    range: str  # what stands in [], or ""
    function: str  # that is called on it directly, or ""


def selectors(expression):
    """Raises ValueError on text that obviously is not PromQL."""
    tokens, position, text = [], 0, expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"unexpected {text[position:position + 20]!r}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    tokens.append(("end", ""))

    found, calls, i = [], [], 0
    while i < len(tokens):
        kind, token = tokens[i]
        following = tokens[i + 1][1] if i + 1 < len(tokens) else ""
        if kind == "name" and token in _LABEL_LISTS and following == "(":
            while tokens[i][1] != ")":
                i += 1
        elif kind == "name" and following == "(":
            calls.append(token)
            i += 1
        elif kind == "name" and token not in _WORDS and following not in _LABEL_LISTS | {"("} or token == "{":
            selector = Selector("" if token == "{" else token, [], "", "")
            if token != "{" and following == "{":
                i += 1
            if tokens[i][1] == "{":
                while tokens[i][1] != "}":
                    i += 1
                    if tokens[i][0] == "name":
                        selector.matchers.append((tokens[i][1], tokens[i + 1][1], tokens[i + 2][1][1:-1]))
                        i += 2
                    elif tokens[i][0] == "end":
                        raise ValueError("a { is not closed")
            if i + 1 < len(tokens) and tokens[i + 1][0] == "range":
                i += 1
                selector.range = tokens[i][1][1:-1]
                selector.function = calls[-1] if calls else ""
            found.append(selector)
        elif token == "(":
            calls.append("")
        elif token == ")":
            if not calls:
                raise ValueError("a ) too many")
            calls.pop()
        i += 1
    if calls:
        raise ValueError("a ( is not closed")
    return found
