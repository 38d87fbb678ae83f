"""Write the pretraining text of the demo base model: plain English made by a seeded grammar.

The demo needs a base model that may be given away with the program, so its text must be our own. A
grammar with templates and word lists gives correct sentences in unlimited number, and the model that is
trained on them writes simple English without knowing the answers that the toy set teaches later.

Template syntax: ``{a|b|c}`` picks one branch, ``<name>`` inserts a bound value or expands a rule.
"""

from __future__ import annotations

import argparse
import random
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import demo_expository as prose
import demo_lexicon as lex
import demo_stories as tales

SEPARATOR = "<|endoftext|>"

# A compiled template: a literal, ("slot", name), ("alt", branches) or ("seq", parts).
Node = str | tuple[str, object]
Bindings = dict[str, str]


def parse(text: str) -> Node:
    """Compile one template; unbalanced braces are an error at import, not odd text later."""
    node, end = _parse_sequence(text, 0, "")
    if end != len(text):
        raise ValueError(f"unbalanced braces in template: {text}")
    return node


def _parse_sequence(text: str, at: int, stops: str) -> tuple[Node, int]:
    parts: list[Node] = []
    literal = ""
    while at < len(text) and text[at] not in stops:
        char = text[at]
        if char not in "{<":
            literal += char
            at += 1
            continue
        if literal:
            parts.append(literal)
            literal = ""
        if char == "<":
            close = text.index(">", at)
            parts.append(("slot", text[at + 1 : close]))
            at = close + 1
        else:
            node, at = _parse_choice(text, at + 1)
            parts.append(node)
    if literal or not parts:
        parts.append(literal)
    return (parts[0] if len(parts) == 1 else ("seq", parts)), at


def _parse_choice(text: str, at: int) -> tuple[Node, int]:
    branches: list[Node] = []
    while True:
        node, at = _parse_sequence(text, at, "|}")
        branches.append(node)
        if at >= len(text):
            raise ValueError(f"unclosed brace in template: {text}")
        if text[at] == "}":
            return ("alt", branches), at + 1
        at += 1


def lines(text: str) -> list[str]:
    """One template a line; blank lines only separate groups for the reader."""
    return [line.strip() for line in text.strip().splitlines() if line.strip()]


class Grammar:
    """Expands templates with one random stream, so that a seed fixes the whole corpus."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.cache: dict[str, Node] = {}
        self.rules: dict[str, list[str]] = dict(word_rules())
        for name, text in {**tales.RULES, **prose.RULES}.items():
            self.rules[name] = lines(text)

    def expand(self, template: str, bindings: Bindings) -> str:
        out: list[str] = []
        self._walk(self._compiled(template), bindings, out)
        return "".join(out)

    def _compiled(self, template: str) -> Node:
        node = self.cache.get(template)
        if node is None:
            node = parse(template)
            # Bound values are names and numbers without end; only true templates are worth keeping.
            if "<" in template or "{" in template:
                self.cache[template] = node
        return node

    def _walk(self, node: Node, bindings: Bindings, out: list[str]) -> None:
        if isinstance(node, str):
            out.append(node)
            return
        kind, value = node
        if kind == "seq":
            for part in value:  # type: ignore[attr-defined]
                self._walk(part, bindings, out)
        elif kind == "alt":
            branches: list[Node] = value  # type: ignore[assignment]
            self._walk(branches[int(self.rng.random() * len(branches))], bindings, out)
        else:
            name = str(value)
            bound = bindings.get(name)
            if bound is None:
                options = self.rules[name]
                bound = options[int(self.rng.random() * len(options))]
            if "<" in bound or "{" in bound:
                self._walk(self._compiled(bound), bindings, out)
            else:
                out.append(bound)

    def text(self, templates: list[str], bindings: Bindings) -> str:
        """Expand several sentences into one paragraph with tidy spacing, articles and capitals."""
        return tidy(" ".join(self.expand(template, bindings) for template in templates))


# Words that begin with a vowel letter but with a consonant sound, and the reverse.
_ARTICLE = re.compile(r"\b([Aa]) (?=(?:[aeioAEIO](?!ne[ -])(?!nce\b)|u(?!se|ni|su)|ho(?:ur|nest)|8|11\b|18\b))")
_SENTENCE_START = re.compile(r"((?:^|[.:] \"|[.!?] |[.]\" |\n)\"?)([a-z])")
_SPACES = re.compile(r" {2,}")
_BEFORE_STOP = re.compile(r" +([.,;:?!])")


def tidy(text: str) -> str:
    text = _SPACES.sub(" ", text).strip()
    text = _BEFORE_STOP.sub(r"\1", text)
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE_START.sub(lambda found: found.group(1) + found.group(2).upper(), text)


def word_rules() -> dict[str, list[str]]:
    """The word lists as grammar rules with a single option a word."""
    return {
        "girl": lex.GIRLS,
        "boy": lex.BOYS,
        "person": lex.GIRLS + lex.BOYS,
        "town": lex.TOWNS,
        "thing": lex.THINGS,
        "food": lex.FOODS,
        "ingredient": lex.INGREDIENTS,
        "dish": [row[0] for row in lex.DISHES],
        "adj.person": lex.ADJ_PERSON,
        "adj.size": lex.ADJ_SIZE,
        "adj.look": lex.ADJ_LOOK,
        "colour": lex.COLOURS,
        "mood": lex.MOODS,
        "badmood": lex.BAD_MOODS,
        "adverb": lex.ADVERBS,
        "moved": lex.MOVED,
        "material": lex.MATERIALS,
        "room": lex.ROOMS,
        "daypart": lex.PARTS_OF_DAY,
        "weekday": lex.DAYS,
        "month": lex.MONTHS,
        "season": lex.SEASONS,
        "lesson": lex.LESSONS,
        "animal": [row[0] for row in lex.ANIMALS],
        "animals": [row[1] for row in lex.ANIMALS],
        "plant": [row[0] for row in lex.PLANTS],
        "plants": [row[1] for row in lex.PLANTS],
        "tool": [row[0] for row in lex.TOOLS],
        "tools": [row[1] for row in lex.TOOLS],
        "job": [row[0] for row in lex.JOBS],
        "place.to": [row[0] for row in lex.PLACES],
        "place.in": [row[1] for row in lex.PLACES],
        "weather": [row[0] for row in lex.WEATHER],
        "weather.long": [f"{row[0]}, and {row[1]}" for row in lex.WEATHER],
    }


PRONOUNS = {
    "f": ("she", "her", "her", "herself", "girl", "woman"),
    "m": ("he", "him", "his", "himself", "boy", "man"),
}


def bind_person(out: Bindings, prefix: str, name: str, gender: str) -> None:
    """Bind ``<pN> <pe> <pim> <pis> <pself>`` and capitals for one character with the prefix ``p``."""
    he, him, his, self_, child, grown = PRONOUNS[gender]
    out.update(
        {
            f"{prefix}N": name,
            f"{prefix}e": he,
            f"{prefix}im": him,
            f"{prefix}is": his,
            f"{prefix}self": self_,
            f"{prefix}E": he.capitalize(),
            f"{prefix}Is": his.capitalize(),
            f"{prefix}child": child,
            f"{prefix}grown": grown,
        }
    )


def bind_cast(rng: random.Random) -> Bindings:
    """A hero (h), a friend (f), an elder (e) and a stranger (s), with a setting: the state of one story."""
    out: Bindings = {}
    names = {"f": rng.sample(lex.GIRLS, 3), "m": rng.sample(lex.BOYS, 3)}
    for prefix in "hfs":
        gender = rng.choice("fm")
        bind_person(out, prefix, names[gender].pop(), gender)
    gender = rng.choice("fm")
    relative = rng.choice(lex.RELATIVES_F if gender == "f" else lex.RELATIVES_M)
    bind_person(out, "e", f"{out['his']} {relative}", gender)
    there, inside, seen = rng.choice(lex.PLACES)
    back, inside2, seen2 = rng.choice(lex.PLACES)
    weather, effect = rng.choice(lex.WEATHER)
    out.update(
        {
            "there": there,
            "inside": inside,
            "seen": seen,
            "there2": back,
            "inside2": inside2,
            "seen2": seen2,
            "weather1": weather,
            "effect1": effect,
            "town1": rng.choice(lex.TOWNS),
            "obj": rng.choice(lex.THINGS),
            "obj2": rng.choice(lex.THINGS),
            "day1": rng.choice(lex.DAYS),
            "colour1": rng.choice(lex.COLOURS),
            "friendship": rng.choice(lex.FRIENDSHIP),
            "food1": rng.choice(lex.FOODS),
            "lesson1": rng.choice(lex.LESSONS),
            "season1": rng.choice(lex.SEASONS),
        }
    )
    bind_fields(out, rng)
    return out


def bind_fields(out: Bindings, rng: random.Random) -> None:
    """Bind one record of every kind, so that a text keeps to one animal, one tool, one plant."""
    kinds: tuple[tuple[str, list[tuple[str, ...]], tuple[str, ...]], ...] = (
        ("a", lex.ANIMALS, ("", "s", ".home", ".food", ".does", ".body")),
        ("a2", lex.ANIMALS, ("", "s", ".home", ".food", ".does", ".body")),
        ("b", lex.SMALL_ANIMALS, ("", "s", ".home", ".food", ".does", ".body")),
        ("t", lex.TOOLS, ("", "s", ".use", ".of")),
        ("t2", lex.TOOLS, ("", "s", ".use", ".of")),
        ("p", lex.PLANTS, ("", "s", ".where", ".when", ".fact")),
        ("p2", lex.PLANTS, ("", "s", ".where", ".when", ".fact")),
        ("", lex.DISHES, ("dish1", "g1", "g2", "g3")),
        ("j", lex.JOBS, ("", "s", ".do", ".where", ".with")),
        ("k", lex.SKILLS, (".to", ".ing", ".do")),
        ("w", lex.PROJECTS, ("", ".problem", ".fix")),
    )
    for prefix, table, suffixes in kinds:
        row = rng.choice(table)
        out.update({prefix + suffix: value for suffix, value in zip(suffixes, row, strict=True)})


def story(grammar: Grammar) -> str:
    rng = grammar.rng
    cast = bind_cast(rng)
    cast.update(number_bindings(rng))
    plot = rng.choice(tales.PLOTS)
    body: list[str] = []
    for line in plot:
        body.append(line)
        # An aside now and then keeps two stories of one plot from having the same rhythm.
        if rng.random() < 0.13:
            body.append("<aside>")
    opening = ["<opening.weather>" if rng.random() < 0.4 else "<opening>"]
    if rng.random() < 0.6:
        opening.append("<setting>")
    closing = ["<closing>"] if rng.random() < 0.8 else []
    paragraphs = [opening, body[: len(body) // 2], body[len(body) // 2 :] + closing]
    if rng.random() < 0.5:
        return "\n\n".join(grammar.text(part, cast) for part in paragraphs)
    return grammar.text([line for part in paragraphs for line in part], cast)


def expository(grammar: Grammar) -> str:
    """One or two paragraphs on a topic; the sentences after the first are a random ordered subset."""
    rng = grammar.rng
    cast = bind_cast(rng)
    cast.update(number_bindings(rng))
    topic = rng.choices(prose.TOPICS, weights=[weight for weight, _, _ in prose.TOPICS])[0]
    _, first, rest = topic
    count = min(len(rest), rng.randint(4, 8))
    chosen = sorted(rng.sample(range(len(rest)), count))
    if rng.random() < 0.35:
        rng.shuffle(chosen)
    return grammar.text([rng.choice(first)] + [rest[index] for index in chosen], cast)


def how_to(grammar: Grammar) -> str:
    """Ordered steps: every step is kept, because a recipe with holes is not coherent."""
    rng = grammar.rng
    cast = bind_cast(rng)
    cast.update(number_bindings(rng))
    return grammar.text(rng.choice(prose.HOW_TO), cast)


NUMBER_WORDS = lex.words("""zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve,
thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty""")


def spell(number: int) -> str:
    tens = lex.words("twenty, thirty, forty, fifty, sixty, seventy, eighty, ninety")
    if number <= 20:
        return NUMBER_WORDS[number]
    if number < 100:
        unit = number % 10
        return tens[number // 10 - 2] + (f"-{NUMBER_WORDS[unit]}" if unit else "")
    return str(number)


def number_bindings(rng: random.Random) -> Bindings:
    """Small sums with their right results, in words and in figures."""
    first, second = rng.randint(2, 12), rng.randint(2, 12)
    big, small = max(first, second) + 1, min(first, second)
    low, step = rng.randint(1, 20), rng.randint(2, 9)
    fibonacci = [0, 1]
    while len(fibonacci) < 16:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    at = rng.randint(4, 12)
    return {
        "n1": spell(first),
        "n2": spell(second),
        "sum": spell(first + second),
        "product": spell(first * second),
        "big": spell(big),
        "small": spell(small),
        "diff": spell(big - small),
        "d1": str(first),
        "d2": str(second),
        "dsum": str(first + second),
        "dproduct": str(first * second),
        "dbig": str(big),
        "dsmall": str(small),
        "ddiff": str(big - small),
        "half": spell(first),
        "double": spell(2 * first),
        "step": spell(step),
        "sequence": ", ".join(str(low + index * step) for index in range(6)),
        "next": str(low + 6 * step),
        "low": str(low),
        "fa": str(fibonacci[at - 2]),
        "fb": str(fibonacci[at - 1]),
        "fc": str(fibonacci[at]),
        "fd": str(fibonacci[at + 1]),
        "frow": ", ".join(str(value) for value in fibonacci[: at + 1]),
        "ratio": f"{fibonacci[at] / fibonacci[at - 1]:.3f}".rstrip("0").rstrip("."),
        "minutes": spell(rng.choice((5, 10, 15, 20, 25, 30, 40, 45))),
        "count": spell(rng.randint(2, 12)),
        "rank": str(rng.choice((2, 4, 8, 16, 32))),
        "steps": str(rng.choice((50, 100, 200, 300, 500, 1000))),
        "loss1": f"{rng.uniform(2.5, 6):.2f}",
        "loss2": f"{rng.uniform(0.4, 2):.2f}",
        "rows": str(rng.choice((40, 60, 80, 100, 120, 200, 400, 500, 800, 1000))),
        "epochs": spell(rng.randint(2, 12)),
        "clocktime": spell(rng.randint(1, 12)),
        "age": spell(rng.randint(5, 14)),
        "year": str(rng.randint(1820, 2020)),
    }


MAKERS: tuple[tuple[float, Callable[[Grammar], str]], ...] = (
    (0.50, story),
    (0.38, expository),
    (0.12, how_to),
)


def documents(seed: int, word_count: int) -> Iterator[str]:
    """Yield distinct documents until they hold ``word_count`` words."""
    grammar = Grammar(seed)
    makers = [maker for _, maker in MAKERS]
    weights = [weight for weight, _ in MAKERS]
    made, seen = 0, set[int]()
    while made < word_count:
        text = grammar.rng.choices(makers, weights)[0](grammar)
        # Not hash(), which differs from process to process.
        digest = zlib.crc32(text[:400].encode())
        if digest in seen:
            continue
        seen.add(digest)
        made += text.count(" ") + text.count("\n\n") + 1
        yield text


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the pretraining text of the demo base model.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--words", type=int, default=14_000_000)
    parser.add_argument("--seed", type=int, default=1618)
    arguments = parser.parse_args()
    with arguments.output.open("w", encoding="utf-8") as file:
        for text in documents(arguments.seed, arguments.words):
            file.write(text + "\n" + SEPARATOR + "\n")


if __name__ == "__main__":
    main()
