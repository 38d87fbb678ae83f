"""What a row becomes: the right stretches trained, the answer ended, and a chat's prompt the one that was trained."""

from pathlib import Path
from typing import Any

import pytest
import tiny_bases

from phi_tui.engine import loading
from phi_tui.engine.render import Encoder, Segment, TemplateMismatch, choose, prompt, segments
from phi_tui.errors import Refusal

ROW = {"instruction": "Say what phi is.", "input": "", "output": "A number."}
CHAT = {
    "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    tiny_bases.make("llama", folder)
    return loading.tokenizer(folder)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    tiny_bases.make("llama", folder, chat=True, pad_is_eos=True)
    return loading.tokenizer(folder)


def trained(parts: list[Segment]) -> str:
    return "".join(part.text for part in parts if part.trained)


def test_a_plain_base_gets_the_guides_layout_with_the_answer_trained(plain: Any) -> None:
    template = choose("auto", "instruction", plain)
    parts = segments(ROW | {"input": "briefly"}, template, plain)
    eos = plain.eos_token
    assert parts == [
        Segment("Instruction: Say what phi is.\nInput: briefly\nOutput:", False),
        Segment(f" A number.\n{eos}", True),
    ]


def test_train_on_everything_trains_the_prompt_too(plain: Any) -> None:
    template = choose("auto", "instruction", plain)
    assert all(part.trained for part in segments(ROW, template, plain, "everything"))


def test_text_is_trained_whole_and_ends(plain: Any) -> None:
    template = choose("auto", "text", plain)
    assert segments({"text": "abc"}, template, plain) == [Segment("abc" + plain.eos_token, True)]


def test_prompt_and_completion_stand_as_they_are(plain: Any) -> None:
    template = choose("auto", "prompt-completion", plain)
    parts = segments({"prompt": "Q: ", "completion": "x"}, template, plain)
    assert parts == [Segment("Q: ", False), Segment("x" + plain.eos_token, True)]


def test_a_chat_model_renders_instructions_through_its_own_template(chatty: Any) -> None:
    template = choose("auto", "instruction", chatty)
    assert template.name == "chat"
    parts = segments(ROW | {"input": "briefly"}, template, chatty)
    assert "Say what phi is.\n\nbriefly" in parts[0].text
    assert trained(parts).startswith("A number.")
    assert any(stop in trained(parts) for stop in template.stops)


def test_every_answer_of_a_conversation_is_trained_and_nothing_else(chatty: Any) -> None:
    template = choose("auto", "chat", chatty)
    parts = segments(CHAT, template, chatty)
    whole = chatty.apply_chat_template(CHAT["messages"], tokenize=False)
    assert "".join(part.text for part in parts).rstrip("\n").startswith(whole.rstrip("\n"))
    assert [part.text[0] for part in parts if part.trained and part.text.strip()] == ["b", "d"]
    assert not any("user" in part.text for part in parts if part.trained)


def test_the_prompt_of_a_chat_has_the_ids_that_were_trained(chatty: Any, plain: Any) -> None:
    for tokenizer, form in ((chatty, "chat"), (plain, "instruction")):
        template = choose("auto", form, tokenizer)
        encoder = Encoder(tokenizer, template)
        row = {"messages": CHAT["messages"][:2]} if form == "chat" else ROW
        ids, labels = encoder.encode([segments(row, template, tokenizer)])[0]
        first = next(place for place, label in enumerate(labels) if label != -100)
        asked = row["messages"][:1] if form == "chat" else [{"role": "user", "content": ROW["instruction"]}]
        text = prompt(asked, template, tokenizer)
        assert ids[:first] == encoder.prefix + tokenizer(text, add_special_tokens=False)["input_ids"]


def test_the_closing_token_is_trained_even_where_padding_has_its_id(chatty: Any) -> None:
    assert chatty.pad_token_id == chatty.eos_token_id
    template = choose("auto", "chat", chatty)
    _, labels = Encoder(chatty, template).encode([segments(CHAT, template, chatty)])[0]
    stops = set(chatty.convert_tokens_to_ids(list(template.stops)))
    last = [label for label in labels if label != -100][-1]
    assert last in stops


def test_labels_are_the_ids_where_trained(plain: Any) -> None:
    template = choose("auto", "instruction", plain)
    ids, labels = Encoder(plain, template).encode([segments(ROW, template, plain)])[0]
    assert len(ids) == len(labels)
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))


def test_a_template_that_rewrites_earlier_turns_trains_the_last_answer_alone(chatty: Any) -> None:
    jinja = "{% for m in messages %}{% if loop.last or m['role'] == 'user' %}[{{ m['role'] }}]{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"  # noqa: E501
    own, chatty.chat_template = chatty.chat_template, jinja
    try:
        template = choose("chat", "chat", chatty)
        parts = segments(CHAT, template, chatty)
    finally:
        chatty.chat_template = own
    assert trained(parts) == "d" + chatty.eos_token


def test_a_template_without_a_generation_prompt_of_its_own_is_refused_by_row(chatty: Any) -> None:
    own, chatty.chat_template = chatty.chat_template, "{% if add_generation_prompt %}A{% else %}B{% endif %}"
    try:
        with pytest.raises(TemplateMismatch):
            segments(CHAT, choose("chat", "chat", chatty), chatty)
    finally:
        chatty.chat_template = own


def test_a_template_cannot_reach_outside_its_sandbox(chatty: Any) -> None:
    own, chatty.chat_template = chatty.chat_template, "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    try:
        with pytest.raises(TemplateMismatch):
            segments(CHAT, choose("chat", "chat", chatty), chatty)
    finally:
        chatty.chat_template = own


def test_chat_layout_without_a_chat_template_is_refused(plain: Any) -> None:
    with pytest.raises(Refusal, match="no chat template"):
        choose("chat", "instruction", plain)


def test_the_hash_follows_the_layout(plain: Any) -> None:
    one = choose("instruction", "instruction", plain)
    assert one.hash == choose("auto", "instruction", plain).hash
    assert one.hash != choose("plain", "instruction", plain).hash


def test_a_tokenizer_that_puts_spaces_before_text_adds_none_between_stretches(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    inner.train_from_iterator(
        ["Instruction: a\nInput: \nOutput: b\n"] * 3,
        trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "</s>"]),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")
    template = choose("plain", "prompt-completion", tokenizer)
    encoder = Encoder(tokenizer, template)
    ids, _ = encoder.encode([[Segment("Output:", False), Segment(" b", True)]])[0]
    assert tokenizer.decode(ids) == "Output: b"
    assert "Output:  b" not in tokenizer.decode(ids)
