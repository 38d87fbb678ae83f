"""Layouts that are filled give the text that rendering gives, and templates that look at texts are rendered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bases import make

from phi_tui.engine import loading
from phi_tui.engine.render import INSTRUCTION, PLAIN, QA, SUMMARISATION
from phi_tui.engine.traced import Renderer

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<s>You help</s>' }}"
    "{% endif %}{{ '<' + message['role'] + '>\n' + message['content'] + '</>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>\n' }}{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{% set content = '[' + m['role'] + ']' + m['content'] | trim + eos_token %}"
    "{{ content }}{% endfor %}"
)
THINKING = (
    "{%- set ns = namespace(last=0) -%}{%- for m in messages -%}"
    "{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}{%- set content = m.content -%}"
    "{%- if '</think>' in content -%}{%- set content = content.split('</think>')[-1].lstrip('\n') -%}{%- endif -%}"
    "{%- if m.content is string and m.content -%}{{ m.role + ':' + content.strip() + '\n' }}{%- endif -%}{%- endfor -%}"
)
LOOKING = {
    "joined": "{% for m in messages %}{{ ['a', m.content] | join('-') | upper }}{% endfor %}",
    "buffered": "{% for m in messages %}{% set x %}{{ m.content }}{% endset %}{{ 'B' if 'b' in x }}{{ x }}{% endfor %}",
    "tilde": "{% for m in messages %}{% set x = 'a' ~ m.content %}{% if 'ab' in x %}B{% endif %}{{ x }}{% endfor %}",
    "macro": "{% macro f(x) %}{{ x }}{% endmacro %}{% for m in messages %}{{ 'B' if 'b' in f(m.content) }}{% endfor %}",
    "searched for": "{% for m in messages %}{{ 'yes' if m.content in 'a b c' else 'no' }}{% endfor %}",
    "handed over": "{% for m in messages %}{{ 'a b c'.startswith(m.content) }}{{ m.content }}{% endfor %}",
    "compared": "{% for m in messages %}{{ m.content == 'b' }}{{ messages[0].content != m.content }}{% endfor %}",
    "listed": "{% for m in messages %}{{ m.content in ['a', 'b'] }}{{ m }}{% endfor %}",
    "measured": "{% for m in messages %}{{ m.content | length }}{{ m.content[0] }}{% endfor %}",
    "clock": "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}",
    "key": "{% for m in messages %}{{ 'abc'[m.content] }}{% endfor %}",
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    make("llama", folder)
    return loading.tokenizer(folder)


text = st.text(max_size=6) | st.sampled_from(["", " ", "a", "b", "ab", " b\n", "x</think>\n y", "\0", "\x000\x00", "0"])
conversations = st.lists(
    st.builds(
        lambda role, said, more: {"role": role, "content": said} | more,
        st.sampled_from(["system", "user", "assistant"]),
        text,
        st.sampled_from([{}, {}, {"input": ""}, {"input": "more"}, {"context": "c"}]),
    ),
    min_size=1,
    max_size=4,
)


def rendered(tokenizer: Any, template: str, messages: list[dict[str, str]], answer_next: bool) -> Any:
    try:
        return tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=answer_next
        )
    except Exception as error:
        return type(error)


@pytest.mark.parametrize(
    "template", [CHATML, TRIMMED, THINKING, INSTRUCTION, PLAIN, QA, SUMMARISATION, *LOOKING.values()]
)
def test_a_text_is_the_one_that_rendering_gives(tokenizer: Any, template: str) -> None:
    renderer = Renderer(tokenizer)

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.lists(st.tuples(conversations, st.booleans()), min_size=2, max_size=5))
    def check(several: list[tuple[list[dict[str, str]], bool]]) -> None:
        for messages, answer_next in several:
            expected = rendered(tokenizer, template, messages, answer_next)
            assert rendered(renderer, template, messages, answer_next) == expected

    check()


@pytest.mark.parametrize("template", [CHATML, TRIMMED, INSTRUCTION, PLAIN, QA, SUMMARISATION])
def test_the_usual_layouts_are_rendered_once(tokenizer: Any, template: str) -> None:
    class Counted(Renderer):
        calls = 0

        def _rendered(self, *given: Any) -> str:
            self.calls += 1
            return super()._rendered(*given)

    renderer = Counted(tokenizer)
    for number in range(9):
        asked = {"role": "user", "content": f"q{number}", "context": "c"}
        turns = [asked, {"role": "assistant", "content": f"a{number}"}]
        renderer.apply_chat_template(turns, chat_template=template)
    assert renderer.calls == 1
