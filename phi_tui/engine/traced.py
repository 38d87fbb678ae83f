"""Chat templates rendered by example: a layout that was rendered once is filled with the next row's texts.

Rendering through Jinja costs some 40 microseconds a conversation, for what is nearly always fixed text with the
messages between.  So a conversation is rendered once with stand-ins for its texts, which let themselves be written out
and joined to other text, and note every other question that the template asks about them: whether a text is empty,
whether it holds "</think>", what it is without white space around it.  Where another conversation has the same roles
and gives the same answers, the template takes the same way through: its text is the same, with other messages in it.

Whatever a stand-in cannot answer ends the attempt, and those conversations are rendered as ever.  Since a text that was
written into a buffer can no longer tell that it is looked at, templates with macros, blocks, filters or functions that
would do so are not tried at all.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]

_MOST_LAYOUTS = 2000
"""Layouts kept: conversations of very many shapes are rendered as ever."""
_WAYS = 8
"""Ways through the template that are kept for conversations of the same roles."""
_FILTERS = {"trim"}
_TESTS = {"defined", "undefined", "none", "string", "mapping", "sequence", "boolean", "number", "eq", "ne", "equalto"}
_CALLED = {"raise_exception", "namespace"}


class _Asked(Exception):
    """A stand-in was asked what it cannot answer."""


@dataclass(slots=True)
class _Trace:
    """The texts that stand-ins stand for, and what was asked about them: (place, question, arguments, answer)."""

    texts: list[str]
    asked: list[tuple[int, str, tuple[Any, ...], Any]] = field(default_factory=list)
    failed: bool = False

    def ask(self, place: int, question: str, *given: Any) -> Any:
        """Answer for the text that is there now, and note it; _Asked where the argument is no plain text."""
        if any(type(one) is not str for one in given):
            self.failed = True
            raise _Asked
        answer = _QUESTIONS[question](self.texts[place], *given)
        self.asked.append((place, question, given, answer))
        return answer


_QUESTIONS: dict[str, Callable[..., Any]] = {
    "filled": bool,
    "holds": lambda text, part: part in text,
    "starts": lambda text, part: text.startswith(part),
    "ends": lambda text, part: text.endswith(part),
    "stripped": lambda text: text == text.strip(),
}


def _mark(place: int) -> str:
    return f"\0{place}\0"


_MARKS = re.compile("\0([0-9]+)\0")


class _StandIn(str):
    """A text that may be written and joined to others, and notes what else is asked; its characters are its mark."""

    __slots__ = ("_place", "_trace")
    _place: int
    _trace: _Trace

    @classmethod
    def of(cls, trace: _Trace, place: int) -> _StandIn:
        """Stand for a whole text; place -1 for one that was joined from others, which answers nothing."""
        made = cls(_mark(place))
        made._trace, made._place = trace, place
        return made

    def _joined(self, text: str) -> _StandIn:
        made = type(self)(text)
        made._trace, made._place = self._trace, -1
        return made

    def _ask(self, question: str, *given: Any) -> Any:
        if self._place < 0:
            self._trace.failed = True
            raise _Asked
        return self._trace.ask(self._place, question, *given)

    def __add__(self, other: Any) -> _StandIn:
        return self._joined(_characters(self) + _characters(other))

    def __radd__(self, other: Any) -> _StandIn:
        return self._joined(_characters(other) + _characters(self))

    def __str__(self) -> str:
        return self

    def __bool__(self) -> bool:
        return bool(self._ask("filled"))

    def __contains__(self, part: object) -> bool:
        return bool(self._ask("holds", part))

    def startswith(self, *given: Any) -> bool:
        return bool(self._ask("starts", *given))

    def endswith(self, *given: Any) -> bool:
        return bool(self._ask("ends", *given))

    def strip(self, *given: Any) -> _StandIn:
        if given in ((), (None,)) and self._ask("stripped"):
            return self
        self._trace.failed = True
        raise _Asked


def _characters(text: Any) -> str:
    if not isinstance(text, str):
        raise _Asked
    return str.__getitem__(text, slice(None)) if isinstance(text, _StandIn) else text


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: _StandIn, *given: Any, **named: Any) -> Any:
        self._trace.failed = True
        raise _Asked(name)

    return refuse


_ANSWERED = {"__add__", "__radd__", "__str__", "__bool__", "__contains__", "startswith", "endswith", "strip"}
_KEPT = {"__new__", "__init__", "__class__", "__getattribute__", "__setattr__", "__delattr__", "__doc__", "__dir__",
         "__init_subclass__", "__subclasshook__"}  # fmt: skip
for _name in {*dir(str), "__html__"} - _ANSWERED - _KEPT:
    setattr(_StandIn, _name, _refusal(_name))


class Renderer:
    """Stands in for a tokenizer where rows are rendered: same text, found the short way where there is one."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._template = ""
        self._compiled: Any = None
        self._layouts: dict[Any, list[tuple[list[tuple[int, str, tuple[Any, ...], Any]], list[str | int]]]] = {}

    def apply_chat_template(
        self,
        messages: Sequence[Message],
        *,
        chat_template: str,
        tokenize: bool = False,
        add_generation_prompt: bool = False,
    ) -> str:
        """Return what the tokenizer's method of this name returns."""
        if chat_template != self._template:
            self._template, self._compiled, self._layouts = chat_template, _compiled(chat_template), {}
        if self._compiled is None:
            return self._rendered(messages, add_generation_prompt)
        shape = (add_generation_prompt, *((message.get("role"), *message) for message in messages))
        texts = [text for message in messages for name, text in message.items() if name != "role"]
        known = self._layouts.get(shape)
        for asked, parts in known or ():
            if all(_QUESTIONS[question](texts[place], *given) == answer for place, question, given, answer in asked):
                return "".join([part if type(part) is str else texts[part] for part in parts])  # type: ignore[index]
        return self._first(messages, add_generation_prompt, shape, texts)

    def _rendered(self, messages: Sequence[Message], answer_next: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), chat_template=self._template, tokenize=False, add_generation_prompt=answer_next
            )
        )

    def _first(self, messages: Sequence[Message], answer_next: bool, shape: Any, texts: list[str]) -> str:
        """Render a conversation, and keep its layout if it can be filled with other texts."""
        rendered = self._rendered(messages, answer_next)
        kept = self._layouts.setdefault(shape, []) if len(self._layouts) < _MOST_LAYOUTS else None
        if kept is None or len(kept) >= _WAYS or any("\0" in text for text in texts):
            return rendered
        trace = _Trace(texts)
        places = itertools.count()
        stands = [
            {name: text if name == "role" else _StandIn.of(trace, next(places)) for name, text in message.items()}
            for message in messages
        ]
        try:
            text = self._compiled.render(
                messages=stands,
                tools=None,
                documents=None,
                add_generation_prompt=answer_next,
                **self._tokenizer.special_tokens_map,
            )
        except Exception:  # whatever a template does with a text that it may not look at
            return rendered
        if trace.failed:
            return rendered
        cut = _MARKS.split(text)
        parts: list[str | int] = [part if place % 2 == 0 else int(part) for place, part in enumerate(cut)]
        # What the layout gives for this conversation is known already: it must be the same.
        if "".join(part if isinstance(part, str) else texts[part] for part in parts) == rendered:
            kept.append((trace.asked, [part for part in parts if part != ""]))
        return rendered


def _compiled(template: str) -> Any:
    """The template as the library compiles it; None for one whose texts could be looked at unnoticed."""
    from jinja2 import TemplateError, nodes

    try:
        from transformers.utils.chat_template_utils import _compile_jinja_template

        compiled = _compile_jinja_template(template)
        tree = compiled.environment.parse(template)
    except (ImportError, AttributeError, TemplateError):
        return None
    allowed = (
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.CondExpr, nodes.Name, nodes.NSRef,
        nodes.Const, nodes.Getitem, nodes.Getattr, nodes.Add, nodes.Sub, nodes.Neg, nodes.Mod, nodes.Compare,
        nodes.Operand, nodes.And,
        nodes.Or, nodes.Not, nodes.Test, nodes.Filter, nodes.Call, nodes.Keyword, nodes.Assign, nodes.List, nodes.Tuple,
        nodes.Slice, nodes.Break, nodes.Continue,
    )  # fmt: skip
    if "\0" in template or not all(isinstance(node, allowed) and _tells(node) for node in tree.find_all(nodes.Node)):
        return None
    return compiled


def _tells(node: Any) -> bool:
    """Whether a stand-in would hear of all that this node of a template could learn of a text.

    A stand-in hears what is asked of it, not what it is handed to: a plain text that is searched for it, a function.
    """
    from jinja2 import nodes

    if isinstance(node, nodes.Filter):
        return node.name in _FILTERS and node.node is not None and not _given(node)
    if isinstance(node, nodes.Test):
        return node.name in _TESTS
    if isinstance(node, nodes.Mod):
        return isinstance(node.right, nodes.Const)
    if isinstance(node, nodes.Getitem):
        return _is_number(node.arg)
    if isinstance(node, nodes.Call):
        if isinstance(node.node, nodes.Name):
            return node.node.name in _CALLED
        return isinstance(node.node, nodes.Getattr) and all(isinstance(one, nodes.Const) for one in _given(node))
    if isinstance(node, nodes.Compare):
        left: Any = node.expr
        for operand in node.ops:
            listed = isinstance(operand.expr, (nodes.List, nodes.Tuple))
            if operand.op in ("in", "notin") and not (isinstance(left, nodes.Const) or listed):
                return False
            left = operand.expr
    return True


def _given(call: Any) -> list[Any]:
    """The arguments of a call or a filter; those that are no plain constant in their place count as they are."""
    return [*call.args, *call.kwargs, *(one for one in (call.dyn_args, call.dyn_kwargs) if one is not None)]


def _is_number(index: Any) -> bool:
    """Whether an index is made of constants and the loop's counters alone."""
    from jinja2 import nodes

    if isinstance(index, nodes.Getattr):
        return (
            isinstance(index.node, nodes.Name)
            and index.node.name == "loop"
            and index.attr.endswith(("index", "index0"))
        )
    if isinstance(index, nodes.Slice):
        return all(part is None or _is_number(part) for part in (index.start, index.stop, index.step))
    if isinstance(index, (nodes.Add, nodes.Sub)):
        return _is_number(index.left) and _is_number(index.right)
    return isinstance(index, (nodes.Const, nodes.Neg))
