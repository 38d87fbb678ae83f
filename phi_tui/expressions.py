"""Expressions over a row's columns, such as `len(text) > 20 and lower(lang) in ["en", "de"]`: data, never code.

Python's own parser reads the text into a tree, and the walk below does what it finds there and knows nothing else:
no attributes, no calls but the functions named here, no comprehensions.  Every size is bounded, so that a project
file from a stranger can neither run anything nor keep a machine busy.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 2000
"""Longest expression, in characters."""
MAX_DEPTH = 40
MAX_NODES = 500
MAX_BITS = 256
"""Largest whole number that arithmetic takes or gives, in bits."""
MAX_TEXT = 16 * 1024 * 1024
"""Longest text that `+` gives, in characters."""
MAX_MATCHED = 1_000_000
"""Longest text a pattern is looked for in, in characters."""
MATCH_SECONDS = 1.0
"""Longest search for a pattern in one text."""
_MAX_PATTERN = 500
_MAX_REPEATS = 10_000
"""Product of a pattern's counts, {n,m}: they are written out when it is compiled, nested ones multiplied."""

_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
}
_ORDER: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
_EQUALITY: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
FUNCTIONS = {
    "len": 1, "lower": 1, "upper": 1, "strip": 1, "contains": 2, "startswith": 2, "endswith": 2, "matches": 2,
    "column": 1,
}  # fmt: skip
"""The functions, with how many values each takes."""
_ALLOWED = (
    "comparisons, and, or, not, in, + - * / // % **, column names, numbers, texts in quotes, lists, "
    + ", ".join(f"{name}()" for name in FUNCTIONS)
)


class ExpressionError(ValueError):
    """What is wrong with an expression or with what it does to a row, and at which character (from 1)."""

    def __init__(self, what: str, position: int = 0) -> None:
        super().__init__(f"at character {position}: {what}" if position else what)
        self.what = what
        self.position = position


class TooSlow(ExpressionError):
    """A pattern takes too long: other rows would take as long, so this is no matter of one row."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text, its tree, the columns it names, its compiled patterns by their text."""

    text: str
    tree: ast.expr
    columns: frozenset[str]
    patterns: dict[str, Any]

    def value(self, fields: Mapping[str, Any]) -> Any:
        """Return what it comes to for a row; a column that the row lacks is null.

        Raises ExpressionError when an operation does not fit the row's values.
        """
        try:
            return _Walk(self, fields).of(self.tree)
        except RecursionError:
            raise ExpressionError("a value is nested too deeply") from None

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether it is true for a row; null, 0, an empty text and an empty list are not."""
        return bool(self.value(fields))


def parse(text: str) -> Expression:
    """Return the expression that `text` spells; raises ExpressionError that says what stands where."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"is longer than {MAX_LENGTH:,} characters")
    line = text.strip().replace("\n", " ").replace("\r", " ")
    if not line:
        raise ExpressionError("is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a pattern, "is" beside a number
            tree = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        place = error.offset if error.offset and error.offset > 0 else len(line) + 1
        raise ExpressionError(str(error.msg), place) from None
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        said = str(error) if isinstance(error, ValueError) else "is nested too deeply"
        raise ExpressionError(said) from None
    return _Check(line).expression(text, tree)


class _Check:
    """The look over a tree before it is ever walked: nothing but what is known, and not too much of it."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._columns: set[str] = set()
        self._patterns: dict[str, Any] = {}

    def expression(self, text: str, tree: ast.expr) -> Expression:
        waiting: list[tuple[ast.expr, int]] = [(tree, 1)]
        seen = 0
        while waiting:
            node, depth = waiting.pop()
            seen += 1
            if seen > MAX_NODES or depth > MAX_DEPTH:
                raise ExpressionError("is too large or nested too deeply", self._at(node))
            waiting += [(part, depth + 1) for part in self._parts(node)]
        return Expression(text, tree, frozenset(self._columns), self._patterns)

    def _parts(self, node: ast.expr) -> list[ast.expr]:
        """The parts of an allowed node that have to be looked at too."""
        match node:
            case ast.BoolOp():
                return node.values
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
                return [node.operand]
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return [node.left, node.right]
            case ast.Compare():
                for op in node.ops:
                    if type(op) not in _ORDER and type(op) not in _EQUALITY and not isinstance(op, (ast.In, ast.NotIn)):
                        self._refuse(node, "compare with ==, !=, <, <=, >, >=, in or not in")
                return [node.left, *node.comparators]
            case ast.List() | ast.Tuple():
                return node.elts
            case ast.Constant():
                self._constant(node)
                return []
            case ast.Name():
                if node.id not in _CONSTANTS:
                    self._columns.add(node.id)
                return []
            case ast.Call():
                return self._call(node)
        self._refuse(node, f"this is not allowed here; allowed: {_ALLOWED}")
        return []

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if value is not None and not isinstance(value, (bool, int, float, str)):
            self._refuse(node, "a number, a text in quotes, true, false or null")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            self._refuse(node, "this number is too large")

    def _call(self, node: ast.Call) -> list[ast.expr]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            self._refuse(node, f"the functions are {', '.join(f'{known}()' for known in FUNCTIONS)}")
        wanted = FUNCTIONS[name]
        if node.keywords or len(node.args) != wanted:
            self._refuse(node, f"{name}() takes {wanted} value{'s' * (wanted > 1)}")
        literal = node.args[-1].value if isinstance(node.args[-1], ast.Constant) else None
        if name == "column":
            if not isinstance(literal, str):
                self._refuse(node, "column() takes a column's name in quotes")
            self._columns.add(str(literal))
            return []
        if name == "matches":
            if not isinstance(literal, str):
                self._refuse(node, "matches() takes a pattern in quotes")
            self._patterns[str(literal)] = self._pattern(node, str(literal))
        return list(node.args)

    def _pattern(self, node: ast.expr, pattern: str) -> Any:
        import regex  # type: ignore[import-untyped]  # in place of `re`, since it can be told to give up

        if len(pattern) > _MAX_PATTERN:
            self._refuse(node, f"a pattern of more than {_MAX_PATTERN} characters")
        if _repeats(pattern) > _MAX_REPEATS:
            self._refuse(node, "the pattern's counts in braces are too large together")
        try:
            return regex.compile(pattern)
        except Exception as error:  # beside its own error it lets IndexError and others through
            raise ExpressionError(f"the pattern is wrong: {error}", self._at(node)) from None

    def _refuse(self, node: ast.expr, what: str) -> None:
        raise ExpressionError(what, self._at(node))

    def _at(self, node: ast.expr) -> int:
        return _character(self._line, node)


class _Walk:
    """One evaluation of a checked tree on one row."""

    def __init__(self, expression: Expression, fields: Mapping[str, Any]) -> None:
        self._expression, self._fields = expression, fields

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return _CONSTANTS[node.id] if node.id in _CONSTANTS else self._fields.get(node.id)
            case ast.BoolOp(op=ast.And()):
                return all(self.of(value) for value in node.values)
            case ast.BoolOp():
                return any(self.of(value) for value in node.values)
            case ast.UnaryOp(op=ast.Not()):
                return not self.of(node.operand)
            case ast.UnaryOp():
                value = self._number(node.operand, "a sign")
                return -value if isinstance(node.op, ast.USub) else value
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.Compare():
                return self._compare(node)
            case ast.List() | ast.Tuple():
                return [self.of(part) for part in node.elts]
            case ast.Call(func=ast.Name()):
                return self._call(node)
        raise ExpressionError("this is not allowed here")

    def _wrong(self, node: ast.expr, what: str) -> ExpressionError:
        return ExpressionError(what, _character(self._expression.text.strip(), node))

    def _number(self, node: ast.expr, what: str) -> int | float:
        value = self.of(node)
        if not isinstance(value, (int, float)):
            raise self._wrong(node, f"{what} needs a number, and this is {_kind(value)}{_named(node)}")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self._wrong(node, "a number is too large")
        return value

    def _arithmetic(self, node: ast.BinOp) -> Any:
        sign, work = _ARITHMETIC[type(node.op)]
        if isinstance(node.op, ast.Add):
            left, right = self.of(node.left), self.of(node.right)
            if isinstance(left, str) and isinstance(right, str):
                if len(left) + len(right) > MAX_TEXT:
                    raise self._wrong(node, "the text becomes too long")
                return left + right
        one, other = self._number(node.left, sign), self._number(node.right, sign)
        whole = isinstance(one, int) and isinstance(other, int)
        if isinstance(node.op, ast.Pow) and whole and abs(one) > 1 and int(one).bit_length() * other > MAX_BITS:
            raise self._wrong(node, "the power is too large")
        try:
            value = work(one, other)
        except (ZeroDivisionError, OverflowError) as error:
            raise self._wrong(node, str(error) or "too large") from None
        if isinstance(value, complex):
            raise self._wrong(node, "a root of a negative number")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self._wrong(node, "the number becomes too large")
        return value

    def _compare(self, node: ast.Compare) -> bool:
        left = self.of(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self.of(part)
            if not self._one(node, op, left, right):
                return False
            left = right
        return True

    def _one(self, node: ast.Compare, op: ast.cmpop, left: Any, right: Any) -> bool:
        if type(op) in _EQUALITY:
            return bool(_EQUALITY[type(op)](left, right))
        if isinstance(op, (ast.In, ast.NotIn)):
            if isinstance(right, str):
                if not isinstance(left, str):
                    raise self._wrong(node, f"{_kind(left)} cannot be in a text")
            elif right is None:
                right = []
            elif not isinstance(right, (list, tuple)):
                raise self._wrong(node, f'"in" needs a text or a list on its right, and this is {_kind(right)}')
            return (left in right) == isinstance(op, ast.In)
        sign, order = _ORDER[type(op)]
        if left is None or right is None:
            return False
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if not numbers and not (isinstance(left, str) and isinstance(right, str)):
            raise self._wrong(node, f"{sign} between {_kind(left)} and {_kind(right)}; cast one of them first")
        return bool(order(left, right))

    def _call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name == "column":
            assert isinstance(node.args[0], ast.Constant)
            return self._fields.get(str(node.args[0].value))
        first = self.of(node.args[0])
        if name == "len":
            if first is None:
                return 0
            if not isinstance(first, (str, list, tuple, dict)):
                raise self._wrong(node, f"len() of {_kind(first)}{_named(node.args[0])}")
            return len(first)
        if name == "contains" and isinstance(first, (list, tuple)):
            return self.of(node.args[1]) in first
        text = "" if first is None else first
        if not isinstance(text, str):
            raise self._wrong(node, f"{name}() needs a text, and this is {_kind(first)}{_named(node.args[0])}")
        if name in ("lower", "upper", "strip"):
            return {"lower": text.lower, "upper": text.upper, "strip": text.strip}[name]()
        part = self.of(node.args[1])
        if not isinstance(part, str):
            raise self._wrong(node, f"{name}() needs a text as its second value, and this is {_kind(part)}")
        if name == "matches":
            return self._matches(node, text, part)
        return {"contains": text.__contains__, "startswith": text.startswith, "endswith": text.endswith}[name](part)

    def _matches(self, node: ast.Call, text: str, pattern: str) -> bool:
        if len(text) > MAX_MATCHED:
            raise self._wrong(node, f"a text of more than {MAX_MATCHED:,} characters is not matched")
        try:
            return self._expression.patterns[pattern].search(text, timeout=MATCH_SECONDS) is not None
        except TimeoutError:
            raise TooSlow(
                f"the pattern takes more than {MATCH_SECONDS:g} s on one text",
                _character(self._expression.text.strip(), node),
            ) from None
        except Exception as error:
            raise self._wrong(node, f"the pattern fails: {error}") from None


def _character(line: str, node: ast.expr) -> int:
    """The character, from 1, at which a node begins; the parser counts bytes, and white space before it not at all."""
    return len(line.encode("utf-8", "replace")[: node.col_offset].decode("utf-8", "ignore")) + 1


def _repeats(pattern: str) -> int:
    """The product of all counts in braces, too large rather than too small: what looks like a digit counts."""
    product = 1
    for braces in re.findall(r"\{([^{}]*)", pattern):
        counts = ["".join(filter(str.isdecimal, part))[:9] for part in braces.split(",")]
        product *= max(1, *(int(count or 1) for count in counts), 1)
    return product


def _named(node: ast.expr) -> str:
    return f" (column {node.id})" if isinstance(node, ast.Name) else ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {type(None): "null", int: "a number", float: "a number", str: "a text", list: "a list", tuple: "a list"}
    return kinds.get(type(value), "an object" if isinstance(value, dict) else f"a {type(value).__name__}")
