"""How a row becomes the text that a model reads: the one function behind preparing, chatting and exporting.

Every layout is a chat template in Jinja, the guide's Instruction/Input/Output layout too.  So what was trained
is one text with one hash; it is saved with the adapter, and any tool that can apply a chat template renders a
prompt as the model knows it.  Which parts carry loss is found by rendering a conversation up to an answer and
with the answer, and taking the difference: stock templates mark nothing.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phi_tui.engine.known_words import KnownWords, suits
from phi_tui.errors import Refusal

INSTRUCTION = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n' }}"
    "{%- elif message['role'] == 'user' -%}"
    "{{ 'Instruction: ' + message['content'] + '\\nInput: ' + (message['input'] or '') + '\\nOutput:' }}"
    "{%- else -%}{{ ' ' + message['content'] + '\\n' + eos_token }}"
    "{%- endif -%}{%- endfor -%}"
)
"""Instruction/Input/Output, each on a line of its own, for bases without a chat template of their own."""

PLAIN = (
    "{%- for message in messages -%}{{ message['content'] }}"
    "{%- if message['role'] == 'system' -%}{{ '\\n' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ eos_token }}"
    "{%- endif -%}{%- endfor -%}"
)
"""Prompt and completion as they stand, one behind the other."""

SUMMARISATION = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n\\n' }}"
    "{%- elif message['role'] == 'user' -%}{{ '### Document\\n' + message['content'] + '\\n\\n### Summary\\n' }}"
    "{%- else -%}{{ message['content'] + eos_token }}"
    "{%- endif -%}{%- endfor -%}"
)
"""The document and its summary, each under a heading."""

QA = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n\\n' }}"
    "{%- elif message['role'] == 'user' -%}"
    "{%- if message['context'] is defined -%}{%- set context, question = message['context'], message['content'] -%}"
    "{%- elif '\\n\\n' in message['content'] -%}"
    "{%- set context, question = message['content'].rsplit('\\n\\n', 1) -%}"
    "{%- else -%}{%- set context, question = '', message['content'] -%}"
    "{%- endif -%}"
    "{{ '### Context\\n' + context + '\\n\\n' if context else '' }}"
    "{{ '### Question\\n' + question + '\\n\\n### Answer\\n' }}"
    "{%- else -%}{{ message['content'] + eos_token }}"
    "{%- endif -%}{%- endfor -%}"
)
"""Context, question and answer, each under a heading; in a chat the context is what stands above an empty line."""

Row = dict[str, Any]
Message = dict[str, str]


class TemplateMismatch(ValueError):
    """The template renders an answer in a way that does not continue its prompt."""


@dataclass(frozen=True, slots=True)
class Template:
    """A layout: its name, its Jinja text, and the tokens at which an answer ends."""

    name: str
    jinja: str
    eos: str
    stops: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides how a row is rendered."""
        return hashlib.sha256("\0".join((self.name, self.jinja, self.eos, *self.stops)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that is trained as a whole or not at all."""

    text: str
    trained: bool


def choose(setting: str, form: str, tokenizer: Any, stop_ids: Sequence[int] = ()) -> Template:
    """Return the template for `setting` (as data.template) and the rows' format `form`.

    auto takes the model's chat template for conversations and instructions where it has one, the
    Instruction/Input/Output layout where not, and leaves text and prompt-completion rows as they are.
    Raises Refusal when the model has no end-of-text token, or no chat template and one is asked for.
    """
    if not tokenizer.eos_token:
        raise Refusal(
            "this base's tokenizer has no end-of-text token, so no answer would ever end",
            fix="choose a base whose tokenizer_config.json names an eos_token",
        )
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    if own == PLAIN:  # what a model pretrained on texts carries along: no template for a conversation
        own = None
    if setting == "auto":
        conversational = form in ("chat", "instruction")
        setting = ("chat" if own else "instruction") if conversational else "plain"
    if setting == "chat" and not own:
        raise Refusal(
            'data.template = "chat", but this base has no chat template',
            fix='use "instruction" or "auto", or a chat model as the base',
        )
    layouts = {"instruction": INSTRUCTION, "plain": PLAIN, "summarisation": SUMMARISATION, "qa": QA}
    jinja = (own or "") if setting == "chat" else layouts[setting]
    stops = dict.fromkeys([tokenizer.eos_token, *(t for t in tokenizer.convert_ids_to_tokens(list(stop_ids)) if t)])
    return Template(setting, jinja, tokenizer.eos_token, tuple(stops))


def messages_of(row: Row, template: Template) -> list[Message]:
    """Return a row's conversation; the `input` of an instruction joins the content where the layout has no place."""
    if "messages" in row:
        return [dict(message) for message in row["messages"]]
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    if "prompt" in row:
        turn = {"role": "user", "content": row["prompt"]}
        return [*system, turn, {"role": "assistant", "content": row["completion"]}]
    if "summary" in row:
        return [{"role": "user", "content": row["source"]}, {"role": "assistant", "content": row["summary"]}]
    if "question" in row:
        turn = {"role": "user", "content": row["question"], "context": row["context"]}
        return [turn, {"role": "assistant", "content": row["answer"]}]
    turn = {"role": "user", "content": row["instruction"]}
    if row.get("input"):
        if template.name == "instruction":
            turn["input"] = row["input"]
        else:
            turn["content"] = "\n\n".join(part for part in (row["instruction"], row["input"]) if part)
    return [*system, turn, {"role": "assistant", "content": row["output"]}]


def prompt(messages: Sequence[Message], template: Template, tokenizer: Any) -> str:
    """Return the text after which the model is to answer the last of `messages`."""
    return _apply(messages, template, tokenizer, answer_next=True)


def segments(row: Row, template: Template, tokenizer: Any, train_on: str = "completion") -> list[Segment]:
    """Return a row's text in stretches, those that carry loss marked; the last answer ends with a stop token.

    Under `train_on` "everything" all of it carries loss.  Where a template rewrites earlier turns once later ones
    follow, only the last answer is trained.  Raises TemplateMismatch when not even that can be told apart.
    """
    if "text" in row:
        return [Segment(row["text"] + template.eos, True)]
    parts = _turns(messages_of(row, template), template, tokenizer)
    if not any(stop in parts[-1].text for stop in template.stops) or not parts[-1].trained:
        parts.append(Segment(template.eos, True))
    parts = [piece for part in parts for piece in _cut_behind_stop(part, template.stops)]
    return [Segment(part.text, part.trained or train_on == "everything") for part in parts if part.text]


def _turns(messages: list[Message], template: Template, tokenizer: Any) -> list[Segment]:
    """Render up to each answer and with it; the difference is what the model is to say."""
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    rendered = [
        (
            _apply(messages[:place], template, tokenizer, answer_next=True),
            _apply(messages[: place + 1], template, tokenizer, answer_next=False),
        )
        for place in answers
    ]
    parts: list[Segment] = []
    done = ""
    for before, after in rendered:
        if not (before.startswith(done) and after.startswith(before)):
            before, after = rendered[-1]
            if not after.startswith(before):
                raise TemplateMismatch("the template does not render an answer as the continuation of its prompt")
            return [Segment(before, False), Segment(after[len(before) :], True)]
        parts += [Segment(before[len(done) :], False), Segment(after[len(before) :], True)]
        done = after
    return parts


def _cut_behind_stop(part: Segment, stops: tuple[str, ...]) -> list[Segment]:
    """Leave what a template writes behind the end of an answer (often a newline) untrained: it is never generated."""
    if not part.trained:
        return [part]
    end = max(part.text.rfind(stop) + len(stop) if stop in part.text else -1 for stop in stops)
    if end < 0 or part.text[end:].strip():
        return [part]
    return [Segment(part.text[:end], True), Segment(part.text[end:], False)]


def _apply(messages: Sequence[Message], template: Template, tokenizer: Any, *, answer_next: bool) -> str:
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                list(messages),
                chat_template=template.jinja,
                tokenize=False,
                add_generation_prompt=answer_next,
            )
        )
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        raise TemplateMismatch(f"the chat template refuses this conversation: {error}") from error


class Encoder:
    """Turns segments into token ids: each stretch on its own, so that a prompt has the ids it has in a chat.

    `prefix` holds the ids that the tokenizer puts before any text (a BOS), empty for chat templates, which write
    their own.  Tokenizers of the SentencePiece kind put a space before every text they are given; behind the first
    stretch that space is kept out by encoding it after a newline.
    """

    def __init__(self, tokenizer: Any, template: Template, *, plain: bool = False) -> None:
        """`plain` asks the tokenizer for whole texts, whatever it is made of."""
        self._tokenizer = tokenizer
        bare = list(tokenizer("", add_special_tokens=True)["input_ids"])
        starts = bool(bare) and bare[0] == tokenizer.bos_token_id
        self.prefix: list[int] = [bare[0]] if starts and template.name != "chat" else []
        self._direct = _is_direct(tokenizer)
        by_word = self._direct and not plain and suits(tokenizer.backend_tokenizer)
        self._words = KnownWords(tokenizer.backend_tokenizer) if by_word else None
        newline, joined, alone = self._ids(["\n", "\na", "a"])
        self._lead = len(newline) // 4 if alone != joined[len(newline) :] else 0

    def encode(self, rows: Sequence[Sequence[Segment]]) -> list[tuple[list[int], list[int]]]:
        """Return (input_ids, labels) for each row of segments; labels are -100 where nothing is trained."""
        out: list[tuple[list[int], list[int]]] = []
        for parts in self.parts(rows):
            ids, labels = list(self.prefix), [-100] * len(self.prefix)
            for part, trained in parts:
                own = list(memoryview(part).cast("i"))
                ids += own
                labels += own if trained else [-100] * len(own)
            out.append((ids, labels))
        return out

    def parts(self, rows: Sequence[Sequence[Segment]]) -> list[list[tuple[bytes, bool]]]:
        """Return (token ids as int32, whether they are trained) for each segment of each row, without the prefix."""
        texts = [
            ("\n" if self._lead and place else "") + segment.text for row in rows for place, segment in enumerate(row)
        ]
        return self._cut(self._ids(texts), rows)

    def plainly(self, row: Sequence[Segment]) -> list[tuple[bytes, bool]]:
        """Return the same for one row, of whole texts and by the tokenizer's own class."""
        texts = [("\n" if self._lead and place else "") + segment.text for place, segment in enumerate(row)]
        found = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return self._cut([array("i", one).tobytes() for one in found], [row])[0]

    def _cut(self, encoded: Sequence[bytes], rows: Sequence[Sequence[Segment]]) -> list[list[tuple[bytes, bool]]]:
        """Put the ids of all segments back into rows."""
        each, lead = iter(encoded), 4 * self._lead
        return [
            [(next(each)[lead if place else 0 :], segment.trained) for place, segment in enumerate(row)] for row in rows
        ]

    def _ids(self, texts: list[str]) -> list[bytes]:
        """The ids of each text as int32, without those that the tokenizer puts around it."""
        if not texts:
            return []
        if self._words and _plain(self._tokenizer):
            return self._words.encode(texts)
        if self._direct and _plain(self._tokenizer):
            found = self._tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return [array("i", one.ids).tobytes() for one in found]
        return [array("i", one).tobytes() for one in self._tokenizer(texts, add_special_tokens=False)["input_ids"]]


def _is_direct(tokenizer: Any) -> bool:
    """Whether a tokenizer's ids are those of the library underneath: its class changes nothing about encoding."""
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return False
    kind = type(tokenizer)
    same = all(getattr(kind, name) is getattr(PreTrainedTokenizerFast, name) for name in ("__call__", "_encode_plus"))
    return same and not hasattr(tokenizer, "_switch_to_input_mode")


def _plain(tokenizer: Any) -> bool:
    """Whether it neither cuts nor fills texts and takes special tokens as its class would; others may have used it."""
    backend = tokenizer.backend_tokenizer
    return (
        backend.truncation is None
        and backend.padding is None
        and backend.encode_special_tokens == tokenizer.split_special_tokens
    )
