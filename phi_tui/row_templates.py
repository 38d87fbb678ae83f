"""Jinja templates that make a column of a row's other columns, held so tightly that a stranger's may be rendered.

The sandbox of the library alone lets a template loop for hours.  So only the kinds of node named here are taken, values
are read as items and never as attributes, and every loop, filter and sum is charged to a budget that a row's rendering
may not exceed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

MAX_TEMPLATE = 10_000
"""Longest template, in characters."""
MAX_OUTPUT = 1_000_000
"""Longest text that a template may give, in characters."""
MAX_VALUE = 2_000_000
"""Longest text in a row that a template is given, in characters."""
_MAX_ROUNDS = 10_000
"""Rounds of all loops of one rendering together."""
_MAX_WORK = 50_000_000
"""Characters that the filters and sums of one rendering may read and write."""
_NODES = frozenset(
    {
        "Template", "Output", "TemplateData", "Name", "Const", "List", "Tuple", "Getattr", "Getitem", "Slice", "Filter",
        "Test", "If", "For", "CondExpr", "Compare", "Operand", "And", "Or", "Not", "Neg", "Pos", "Add", "Sub", "Mul",
        "Div", "FloorDiv", "Mod",
    }
)  # fmt: skip
_TESTS = frozenset(
    {"defined", "undefined", "none", "string", "number", "mapping", "sequence", "boolean", "true", "false", "in", "eq",
     "ne", "lt", "le", "gt", "ge", "equalto", "greaterthan", "lessthan", "odd", "even"}
)  # fmt: skip


class TemplateFlaw(ValueError):
    """What is wrong with a template, or with what it makes of a row."""


class _Budget:
    """What one rendering may still do."""

    def __init__(self) -> None:
        self.work, self.rounds = _MAX_WORK, _MAX_ROUNDS

    def charge(self, *values: Any) -> None:
        self.work -= sum(len(value) if isinstance(value, (str, list, tuple, dict)) else 8 for value in values) + 1
        if self.work < 0:
            raise TemplateFlaw("the template does too much with this row")

    def loop(self, items: Any) -> Iterator[Any]:
        if not isinstance(items, (list, tuple, dict)):
            _text(items)  # says so when the column is missing
            raise TemplateFlaw("a loop goes over a list, and this is none")
        for item in items:
            self.rounds -= 1
            if self.rounds < 0:
                raise TemplateFlaw(f"the template loops more than {_MAX_ROUNDS:,} times")
            yield item


class RowTemplate:
    """A checked template; `render` makes a text of a row's columns."""

    def __init__(self, text: str) -> None:
        """Raises TemplateFlaw, with the line where there is one, for what does not parse or is not allowed."""
        from jinja2 import TemplateError, TemplateSyntaxError, nodes

        if len(text) > MAX_TEMPLATE:
            raise TemplateFlaw(f"is longer than {MAX_TEMPLATE:,} characters")
        self._budget = _Budget()
        environment = _environment_class()(self)
        try:
            tree = environment.parse(text)
            self.columns = _checked(tree, nodes)
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, "_rounds", [], [], None, None, lineno=loop.lineno)
            self._template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            raise TemplateFlaw(f"line {error.lineno}: {error.message}") from None
        except (TemplateError, RecursionError, MemoryError, SyntaxError) as error:
            raise TemplateFlaw(str(error) or "is nested too deeply") from None

    @property
    def budget(self) -> _Budget:
        """What the rendering under way may still do."""
        return self._budget

    def render(self, fields: Mapping[str, Any]) -> str:
        """Return the text for a row; raises TemplateFlaw for a column the row lacks and for what takes too much."""
        from jinja2 import TemplateError

        for name in self.columns & fields.keys():
            if isinstance(fields[name], str) and len(fields[name]) > MAX_VALUE:
                raise TemplateFlaw(f"{name} has more than {MAX_VALUE:,} characters, too long for a template")
        self._budget = _Budget()
        parts: list[str] = []
        size = 0
        try:
            for part in self._template.generate({name: fields[name] for name in self.columns & fields.keys()}):
                size += len(part)
                if size > MAX_OUTPUT:
                    raise TemplateFlaw(f"the text becomes longer than {MAX_OUTPUT:,} characters")
                parts.append(part)
        except TemplateFlaw:
            raise
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise TemplateFlaw(str(error) or type(error).__name__) from None
        return "".join(parts)


def _checked(tree: Any, nodes: Any) -> frozenset[str]:
    """Return the names of columns that a template reads; raises TemplateFlaw for a node that is not allowed."""
    columns: set[str] = set()
    bound: set[str] = set()
    waiting = [(tree, 0)]
    while waiting:
        node, loops = waiting.pop()
        kind, at = type(node).__name__, f"line {getattr(node, 'lineno', 1)}: "
        if kind not in _NODES:
            raise TemplateFlaw(f"{at}{_WORDS.get(kind, kind)} is not allowed in a template of rows")
        if kind == "Filter" and node.name not in _filters():
            raise TemplateFlaw(f"{at}there is no filter {node.name}; the filters are {', '.join(_shown_filters())}")
        if kind == "Filter" and node.node is None:
            raise TemplateFlaw(f"{at}a filter stands behind a value")
        if kind in ("Filter", "Test") and (node.kwargs or node.dyn_args or node.dyn_kwargs):
            raise TemplateFlaw(f"{at}{node.name} takes plain values")
        if kind == "Test" and node.name not in _TESTS:
            raise TemplateFlaw(f"{at}there is no test {node.name}; the tests are {', '.join(sorted(_TESTS))}")
        if kind == "For":
            loops += 1
            if loops > 1 or node.recursive:
                raise TemplateFlaw(f"{at}a loop inside a loop is not allowed in a template of rows")
            bound |= {name.name for name in node.target.find_all(nodes.Name)}
            bound |= {node.target.name} if isinstance(node.target, nodes.Name) else set()
        if kind == "Name" and node.name in ("self", "super", "caller", "varargs", "kwargs"):
            raise TemplateFlaw(f"{at}{node.name} is a word of Jinja's own; rename the column first")
        if kind == "Name" and node.name != "loop":
            columns.add(node.name)
        waiting += [(child, loops) for child in node.iter_child_nodes()]
    return frozenset(columns - bound)


_WORDS = {"Call": "a call", "Concat": "~ (write the values one behind the other)", "Pow": "**", "Macro": "a macro",
          "Assign": "set", "Include": "include", "Import": "import", "Extends": "extends"}  # fmt: skip


def _shown_filters() -> list[str]:
    return sorted(name for name in _filters() if not name.startswith("_"))


@cache
def _filters() -> dict[str, Callable[..., Any]]:
    """The filters, each as (budget, value, arguments)."""

    def replace(budget: _Budget, text: Any, old: Any, new: Any) -> str:
        text, old, new = _text(text), _text(old), _text(new)
        budget.charge(text)
        # What it will give is known before it is made.
        found = text.count(old)
        budget.charge(text, "")
        budget.work -= found * len(new)
        budget.charge("")
        return text.replace(old, new)

    def join(budget: _Budget, items: Any, by: Any = "") -> str:
        parts, by = [_text(item) for item in _listed(items)], _text(by)
        budget.work -= sum(map(len, parts)) + len(parts) * len(by)
        budget.charge("")
        return by.join(parts)

    def plain(work: Callable[[Any], Any]) -> Callable[..., Any]:
        def filtered(budget: _Budget, value: Any) -> Any:
            budget.charge(value)
            return work(value)

        return filtered

    def default(budget: _Budget, value: Any, other: Any = "", empty_too: Any = False) -> Any:
        from jinja2 import Undefined

        return other if isinstance(value, Undefined) or value is None or (empty_too and not value) else value

    def rounded(budget: _Budget, value: Any, digits: Any = 0) -> Any:
        return round(float(value), max(-300, min(300, int(digits))))

    def cut(budget: _Budget, value: Any, length: Any) -> str:
        return _text(value)[: max(0, int(length))]

    return {
        "trim": plain(lambda value: _text(value).strip()),
        "lower": plain(lambda value: _text(value).lower()),
        "upper": plain(lambda value: _text(value).upper()),
        "title": plain(lambda value: _text(value).title()),
        "capitalize": plain(lambda value: _text(value).capitalize()),
        "length": plain(lambda value: len(value) if isinstance(value, (str, list, tuple, dict)) else 0),
        "wordcount": plain(lambda value: len(_text(value).split())),
        "first": plain(lambda value: _listed(value)[0]),
        "last": plain(lambda value: _listed(value)[-1]),
        "int": plain(lambda value: int(float(value))),
        "float": plain(float),
        "string": plain(lambda value: _text(value)),
        "tojson": plain(_json),
        "round": rounded,
        "cut": cut,
        "replace": replace,
        "join": join,
        "default": default,
    }


def _text(value: Any) -> str:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)  # which raises, and says what is missing
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > MAX_VALUE:
        raise TemplateFlaw(f"a value of more than {MAX_VALUE:,} characters is too long for a template")
    return text


def _listed(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)):
        return value
    raise TemplateFlaw("a list is wanted, and this is none")


@cache
def _environment_class() -> Callable[[RowTemplate], Any]:
    """The class of environments; made on first use, since jinja2 takes 30 ms to import."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """Knows filters, tests and items, and nothing else."""

        intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

        def __init__(self, owner: RowTemplate) -> None:
            super().__init__(undefined=StrictUndefined, autoescape=False, finalize=_shown, keep_trailing_newline=True)
            self._owner = owner
            self.globals.clear()
            self.tests = {name: test for name, test in self.tests.items() if name in _TESTS}
            self.filters.clear()
            for name, work in _filters().items():
                self.filters[name] = self._charged(work)
            self.filters["_rounds"] = lambda items: owner.budget.loop(items)

        def _charged(self, work: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *values: work(self._owner.budget, *values)

        def getattr(self, obj: Any, attribute: str) -> Any:
            """An item of a table by its name; nothing of Python's own."""
            return self.getitem(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            """An item of a list or a table, or a part of a text."""
            if type(obj).__name__ == "LoopContext" and argument in ("index", "index0", "first", "last", "length"):
                # `last` and `length` read ahead, within the budget.
                return getattr(obj, argument)
            if isinstance(obj, (dict, list, tuple, str)):
                try:
                    return obj[argument]
                except (TypeError, LookupError):
                    pass
            return self.undefined(obj=obj, name=argument)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            """Sums of numbers, and texts that are added."""
            if operator == "+" and isinstance(left, str) and isinstance(right, str):
                self._owner.budget.charge(left, right)
                return left + right
            for value in (left, right):
                if not isinstance(value, (int, float)) or abs(value) > 1e30:
                    raise TemplateFlaw(f"{operator} needs two numbers")
            return self.binop_table[operator](left, right)

    return Environment


def _shown(value: Any) -> Any:
    """What stands in the text for a value: nothing for null, JSON for lists and tables, true and false as in JSON."""
    if value is None:
        return ""
    return _json(value) if isinstance(value, (bool, list, tuple, dict)) else value
