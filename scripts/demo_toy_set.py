"""Write the toy instruction set of the demo: questions about phi, Fibonacci numbers and phi-tui itself.

A demo set must be small enough to learn in two minutes and still show real learning. So there are few facts
with many wordings each: a random split keeps every fact in the training part, and the test part measures
whether the model has learned the fact or only one wording of it.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEED = 618
FRAMED = 9

# Wordings that fit every subject of a kind; a fact takes some of them and adds its own.
FRAMES: dict[str, tuple[str, ...]] = {
    "thing": (
        "What is {x}?",
        "Explain {x}.",
        "Explain {x} in one sentence.",
        "Tell me what {x} is.",
        "Can you tell me what {x} is?",
        "Describe {x}.",
        "Please define {x}.",
        "I would like to know what {x} is.",
        "What is meant by {x}?",
        "Give a short explanation of {x}.",
        "What exactly is {x}?",
        "How would you describe {x}?",
        "Can you explain {x}?",
    ),
    "value": (
        "What is {x}?",
        "How much is {x}?",
        "What is the value of {x}?",
        "Tell me {x}.",
        "Compute {x}.",
        "Can you compute {x}?",
        "Please give me {x}.",
        "What number do you get for {x}?",
        "Which number is {x}?",
        "State {x} as a number.",
        "I need to know {x}.",
        "Do you know {x}?",
    ),
    "how": (
        "How do I {x}?",
        "How can I {x}?",
        "What do I do to {x}?",
        "Tell me how to {x}.",
        "Explain how to {x}.",
        "I want to {x}.",
        "Is there a way to {x}?",
        "Show me how to {x}.",
        "What is the way to {x}?",
        "Can you tell me how to {x}?",
        "How does one {x}?",
        "Help me to {x}.",
    ),
}


@dataclass(frozen=True)
class Fact:
    """One answer with the wordings that ask for it; ``subject`` fills the frames of ``kind``."""

    answer: str
    kind: str
    subject: str
    wordings: str

    def questions(self, rng: random.Random) -> list[str]:
        own = [line.strip() for line in self.wordings.strip().splitlines()]
        if not self.kind:
            return own
        frames = rng.sample(FRAMES[self.kind], FRAMED)
        return [frame.format(x=self.subject) for frame in frames] + own


NUMBERS: tuple[Fact, ...] = (
    Fact(
        "The golden ratio phi is about 1.618034.",
        "value",
        "the golden ratio",
        """
What is the value of phi?
How large is the number phi?
What number is phi?
What is phi?
How much is phi?
Which number is phi?
Give me the value of phi.
Can you tell me the value of phi?
Please state the value of phi.
Tell me the value of phi.
State phi as a number.
Give the golden ratio with six digits after the point.""",
    ),
    Fact(
        "Phi is one plus the square root of five, divided by two.",
        "thing",
        "the formula for phi",
        """
Which formula gives phi?
How is phi written with a square root?
Write the formula of the golden ratio.""",
    ),
    Fact(
        "One divided by phi is about 0.618.",
        "value",
        "one divided by phi",
        """
What is 1/phi?
What is the inverse of phi?
Tell me the inverse of phi.
Which number is the inverse of phi?
How large is the inverse of phi?
Give the inverse of phi.""",
    ),
    Fact(
        "Phi squared is about 2.618, which is phi plus one.",
        "value",
        "phi squared",
        """
What is the square of phi?
What is phi times phi?
Tell me the square of phi.""",
    ),
    Fact(
        "Phi to the power of minus three is about 0.2361.",
        "value",
        "phi to the power of minus three",
        """
What is phi to the minus three?
How much is phi to the power -3?
Compute phi to the minus three.""",
    ),
    Fact(
        "In the Fibonacci sequence each number is the sum of the two before it.",
        "thing",
        "the rule of the Fibonacci sequence",
        """
How is the Fibonacci sequence made?
How does the Fibonacci sequence work?
What rule do the Fibonacci numbers follow?
Tell me the rule of the Fibonacci numbers.
Which rule does the Fibonacci sequence follow?
Which rule makes the Fibonacci sequence?""",
    ),
    Fact(
        "The Fibonacci numbers begin with 0, 1, 1, 2, 3, 5, 8, 13, 21, 34.",
        "",
        "",
        """
List the first Fibonacci numbers.
What are the first Fibonacci numbers?
Write down the first ten Fibonacci numbers.
Which numbers begin the Fibonacci sequence?
How does the list of Fibonacci numbers begin?
Give me the first ten Fibonacci numbers.
Show me the first Fibonacci numbers.
Can you list some Fibonacci numbers?
Name the first Fibonacci numbers.
With which numbers does the Fibonacci sequence begin?
Please list the Fibonacci numbers from the first on.
Tell me the first Fibonacci numbers.""",
    ),
    Fact(
        "The tenth Fibonacci number is 55.",
        "value",
        "the tenth Fibonacci number",
        """
Give the Fibonacci number with index ten.
Name the tenth Fibonacci number.
Which Fibonacci number is the tenth one?""",
    ),
    Fact(
        "The twelfth Fibonacci number is 144.",
        "value",
        "the twelfth Fibonacci number",
        """
Give the Fibonacci number with index twelve.
Name the twelfth Fibonacci number.
Which Fibonacci number is the twelfth one?""",
    ),
    Fact(
        "Leonardo of Pisa, called Fibonacci, described them in the year 1202.",
        "",
        "",
        """
Who described the Fibonacci numbers?
Who was Fibonacci?
Who wrote about the Fibonacci numbers?
Tell me who described the Fibonacci numbers.
Who gave the Fibonacci numbers their name?
After whom are the Fibonacci numbers named?
Which man described the Fibonacci numbers?
In which year were the Fibonacci numbers described?
When were the Fibonacci numbers described, and who did it?
Who is behind the name Fibonacci?
Can you tell me who Fibonacci was?
I want to know who wrote about the Fibonacci numbers.""",
    ),
    Fact(
        "The ratio of neighbouring Fibonacci numbers comes close to phi.",
        "",
        "",
        """
How are Fibonacci numbers and phi related?
What does the ratio of neighbouring Fibonacci numbers come close to?
How do the Fibonacci numbers lead to the golden ratio?
What happens to the ratio of neighbouring Fibonacci numbers?
What has phi to do with the Fibonacci numbers?
Explain the link between phi and the Fibonacci numbers.
Which number do the ratios of neighbouring Fibonacci numbers come near to?
How do I get phi from Fibonacci numbers?
Tell me how phi and the Fibonacci numbers are related.
What do I get if I divide neighbouring Fibonacci numbers?
Is there a link between the Fibonacci numbers and the golden ratio?
Describe the ratio of two neighbouring Fibonacci numbers.""",
    ),
    Fact(
        "The golden section cuts a whole into 61.8 and 38.2 percent.",
        "thing",
        "the golden section",
        """
Into which two percentages does the golden section cut a whole?
How large are the parts of the golden section?
What percent are the two parts of the golden section?""",
    ),
    Fact(
        "A golden rectangle has sides in the ratio phi.",
        "thing",
        "a golden rectangle",
        """
Which ratio do the sides of a golden rectangle have?
When is a rectangle golden?
How long are the sides of a golden rectangle?""",
    ),
    Fact(
        "The golden angle is about 137.5 degrees.",
        "value",
        "the golden angle",
        """
How many degrees has the golden angle?
How large is the golden angle?
Give the golden angle in degrees.""",
    ),
    Fact(
        "A golden spiral grows by the factor phi with every quarter turn.",
        "thing",
        "a golden spiral",
        """
How fast does a golden spiral grow?
How does a golden spiral grow?
By which factor does a golden spiral grow?""",
    ),
    Fact(
        "The seeds of a sunflower often form 34 and 55 spirals.",
        "",
        "",
        """
How many spirals does a sunflower have?
How many spirals do the seeds of a sunflower form?
Which Fibonacci numbers are found in a sunflower?
What is special about the seeds of a sunflower?
Tell me about the spirals of a sunflower.
Where do I see spirals in a sunflower?
What do the seeds of a sunflower form?
Describe the seeds of a sunflower.
Can you tell me how many spirals a sunflower has?
Count the spirals of a sunflower.
Explain the spirals in a sunflower.
Which spirals do sunflower seeds form?""",
    ),
    Fact(
        "Phi is irrational, so it is not a fraction of whole numbers.",
        "",
        "",
        """
Is phi a fraction?
Is phi irrational?
Can phi be written as a fraction?
Is the golden ratio a fraction of whole numbers?
Is phi rational or irrational?
Tell me if phi is irrational.
Why is phi not a fraction?
Can I write the golden ratio as a fraction?
What does it mean that phi is irrational?
Is there a fraction that is equal to phi?
Is the golden ratio irrational?
Do you know if phi is a fraction?""",
    ),
    Fact(
        "In a regular pentagon, a diagonal divided by a side is phi.",
        "",
        "",
        """
Where is phi in a pentagon?
How do I find phi in a pentagon?
What has a pentagon to do with phi?
Which ratio does a pentagon show?
Where do I find the golden ratio in a pentagon?
What is the ratio of diagonal and side in a pentagon?
Explain the golden ratio in a pentagon.
Tell me what a pentagon has to do with phi.
In a pentagon, what is a diagonal divided by a side?
How are the pentagon and the golden ratio related?
Show me phi in a pentagon.
Is there a golden ratio in the pentagon?""",
    ),
    Fact(
        "The number 0.0618 is 0.1 divided by phi.",
        "thing",
        "the number 0.0618",
        """
Where does 0.0618 come from?
How is 0.0618 computed?
How do I get 0.0618 from phi?""",
    ),
)

APP: tuple[Fact, ...] = (
    Fact(
        "phi-tui is a terminal program that fine-tunes a language model with LoRA.",
        "thing",
        "phi-tui",
        """
What does phi-tui do?
What kind of program is phi-tui?
What is phi-tui good for?""",
    ),
    Fact(
        "phi-tui --replay project.toml runs a saved project again.",
        "how",
        "run a saved project again",
        """
What does phi-tui --replay project.toml do?
What does the option --replay do?
What is the option --replay for?
Tell me what phi-tui --replay project.toml does.
When do I use phi-tui --replay project.toml?
Which command runs a saved project again?
Explain the command phi-tui --replay project.toml.
What happens with phi-tui --replay project.toml?""",
    ),
    Fact(
        "project.toml holds the settings of a project.",
        "thing",
        "the file project.toml",
        """
What is in project.toml?
What does project.toml hold?
Where are the settings of a project?""",
    ),
    Fact(
        "The adapters are kept in the folder runs/.",
        "",
        "",
        """
Where are adapters kept?
Where are the adapters kept?
In which folder are the adapters?
Where do I find my adapter?
Where does phi-tui keep its adapters?
Which folder holds the adapters?
Tell me where the adapters are kept.
Where is my adapter after the training?
Where does phi-tui save the adapter?
In which folder does phi-tui save adapters?
Where do the adapters go?
Can you tell me where my adapters are?""",
    ),
    Fact(
        "A LoRA adapter is a small set of new weights beside the frozen base model.",
        "thing",
        "a LoRA adapter",
        """
What is an adapter?
What does a LoRA adapter consist of?
What does the word adapter mean?""",
    ),
    Fact(
        "LoRA is short for low-rank adaptation.",
        "",
        "",
        """
What is LoRA short for?
What does LoRA mean?
What does LoRA stand for?
What do the letters of LoRA mean?
Tell me what LoRA stands for.
What is the long name of LoRA?
Which words are behind the name LoRA?
Explain the name LoRA.
Write out the name LoRA.
For what is LoRA short?
Can you tell me what LoRA means?
Give the full name of LoRA.""",
    ),
    Fact(
        "The rank is the size of the small matrices of an adapter.",
        "thing",
        "the rank of an adapter",
        """
What does the rank mean?
What does the rank set?
What is the rank in LoRA?""",
    ),
    Fact(
        "Alpha says how strongly an adapter acts.",
        "thing",
        "alpha",
        """
What does alpha mean?
What does alpha do in LoRA?
What is the meaning of alpha?""",
    ),
    Fact(
        "The learning rate says how large each training step is.",
        "thing",
        "the learning rate",
        """
What does the learning rate say?
What does the learning rate do?
Why is there a learning rate?""",
    ),
    Fact(
        "During warm-up the learning rate rises slowly from zero.",
        "thing",
        "the warm-up",
        """
What happens during warm-up?
What does the learning rate do during warm-up?
What does warm-up mean?""",
    ),
    Fact(
        "The warm-up takes a share of 0.0618 of all steps.",
        "",
        "",
        """
How long is the warm-up?
How long does the warm-up take?
Which share of the steps is warm-up?
How large is the share of the warm-up?
How many of the steps are warm-up?
What part of all steps is warm-up?
Tell me how long the warm-up takes.
Which share does the warm-up take?
What is the share of the warm-up steps?
When does the warm-up end?
Can you tell me how long the warm-up is?
What share of the training is the warm-up?""",
    ),
    Fact(
        "phi-tui takes 61.8 percent of the rows for training and 38.2 percent for testing.",
        "",
        "",
        """
How does phi-tui split the data?
How are the rows split?
Which split does phi-tui use?
How many rows are used for training and how many for testing?
What is the phi split?
Explain how the rows are split.
Tell me how phi-tui splits the data.
How large are the two parts of the data?
What percent of the rows is used for training?
What percent of the rows is used for testing?
How is the data divided for training and testing?
Into which parts does phi-tui split the rows?""",
    ),
    Fact(
        "A checkpoint is a saved state of the training.",
        "thing",
        "a checkpoint",
        """
What does a checkpoint hold?
What does the word checkpoint mean?
What is saved in a checkpoint?""",
    ),
    Fact(
        "The journal is a file that records every event of a run.",
        "thing",
        "the journal",
        """
What does the journal record?
What is written in the journal?
What is the journal of a run for?""",
    ),
    Fact(
        "Perplexity is the exponential of the loss, and lower is better.",
        "thing",
        "perplexity",
        """
How is perplexity computed?
Should perplexity be high or low?
What does perplexity mean?""",
    ),
    Fact(
        "The loss tells how wrong the model is.",
        "thing",
        "the loss",
        """
What does the loss tell?
What does the loss mean?
Why do I watch the loss?""",
    ),
    Fact(
        "An epoch is one pass over all training rows.",
        "thing",
        "an epoch",
        """
How long is one epoch?
What happens in one epoch?
What does the word epoch mean?""",
    ),
    Fact(
        "A batch is a group of rows for one training step.",
        "thing",
        "a batch",
        """
What is a batch of rows?
What does the word batch mean?
What does a batch hold?""",
    ),
    Fact(
        "The model stops when it writes the end token.",
        "",
        "",
        """
How does the model know when to stop?
When does the model stop?
When does an answer end?
Why does the model stop?
How does the model end its answer?
What makes the model stop?
What does the end token do?
What is the end token for?
How does an answer come to its end?
Tell me when the model stops.
Why does an answer not go on for ever?
What tells the model to stop?""",
    ),
    Fact(
        "Overfitting means that a model learns its examples by heart.",
        "thing",
        "overfitting",
        """
What does overfitting mean?
When does a model show overfitting?
What happens in overfitting?""",
    ),
    Fact(
        "A tokenizer cuts text into small pieces called tokens.",
        "thing",
        "a tokenizer",
        """
What does a tokenizer do?
What does a tokenizer do with text?
Why does a model need a tokenizer?""",
    ),
    Fact(
        "A seed fixes the random numbers, so a run can be repeated.",
        "thing",
        "a seed",
        """
What does a seed do?
Why do I set a seed?
What is the seed of a run for?""",
    ),
    Fact(
        "The base model is a trained model whose weights stay frozen.",
        "thing",
        "the base model",
        """
What happens to the base model?
Which model is the base model?
Are the weights of the base model changed?""",
    ),
    Fact(
        "A stopped run goes on from its last checkpoint.",
        "how",
        "go on with a stopped run",
        """
From where does a stopped run go on?
What happens to a stopped run?
Can a stopped run go on?""",
    ),
    Fact(
        "Each row has an instruction, an input and an output.",
        "thing",
        "a row of the data",
        """
What does each row have?
Which fields does a row have?
What must be in a row of the data?""",
    ),
    Fact(
        "After the warm-up the learning rate falls along a cosine curve.",
        "",
        "",
        """
What happens to the learning rate after the warm-up?
How does the learning rate fall?
What does the learning rate do after the warm-up?
Along which curve does the learning rate fall?
What is the cosine curve for?
Tell me about the cosine curve.
Which curve does the learning rate follow?
What comes after the warm-up?
Why is there a cosine curve?
Explain the cosine curve of the learning rate.
When does the learning rate fall?
How does the learning rate go down?""",
    ),
)

# Tasks with an input: the answer depends on the two numbers, not on the wording.
CONTINUE = (
    "Continue the Fibonacci sequence.",
    "Which Fibonacci number comes next?",
    "Add the next Fibonacci number.",
    "What is the next Fibonacci number?",
)

# Wordings that are not in the set; a sensible answer contains every keyword.
HELD_OUT: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Do you know the value of phi?", "The golden ratio phi is about 1.618034.", ("1.618",)),
    ("I would like to know the inverse of phi.", "One divided by phi is about 0.618.", ("0.618",)),
    (
        "Please tell me which rule the Fibonacci sequence follows.",
        "In the Fibonacci sequence each number is the sum of the two before it.",
        ("sum", "two before"),
    ),
    ("What size has the golden angle?", "The golden angle is about 137.5 degrees.", ("137.5",)),
    (
        "How many spirals can I count in a sunflower?",
        "The seeds of a sunflower often form 34 and 55 spirals.",
        ("34", "55"),
    ),
    (
        "For what can I use phi-tui?",
        "phi-tui is a terminal program that fine-tunes a language model with LoRA.",
        ("language model",),
    ),
    (
        "Please explain what phi-tui --replay project.toml does.",
        "phi-tui --replay project.toml runs a saved project again.",
        ("again",),
    ),
    ("I am looking for the folder with my adapters.", "The adapters are kept in the folder runs/.", ("runs/",)),
    (
        "In simple words, what is a LoRA adapter?",
        "A LoRA adapter is a small set of new weights beside the frozen base model.",
        ("small", "weights"),
    ),
    ("Why should I save a checkpoint?", "A checkpoint is a saved state of the training.", ("saved", "state")),
    (
        "In simple words, what is perplexity?",
        "Perplexity is the exponential of the loss, and lower is better.",
        ("exponential", "loss"),
    ),
    (
        "Which percentages does phi-tui use to split the rows?",
        "phi-tui takes 61.8 percent of the rows for training and 38.2 percent for testing.",
        ("61.8", "38.2"),
    ),
    ("At which point does the model stop its answer?", "The model stops when it writes the end token.", ("end token",)),
    ("What can I change with the learning rate?", "The learning rate says how large each training step is.", ("step",)),
)

Row = dict[str, str]


def rows_of(facts: tuple[Fact, ...], rng: random.Random) -> list[Row]:
    return [
        {"instruction": question, "input": "", "output": fact.answer}
        for fact in facts
        for question in fact.questions(rng)
    ]


def continuation_rows() -> list[Row]:
    rows = []
    first, second = 1, 2
    while second < 100:
        first, second = second, first + second
        pair = f"{second - first}, {first}"
        output = f"The next number is {second}."
        rows += [{"instruction": task, "input": pair, "output": output} for task in CONTINUE]
    return rows


def write(path: Path, rows: list[dict[str, object]] | list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(rows)} rows")


def check(rows: list[Row], held_out: list[dict[str, object]]) -> None:
    """The promises of the set: no row twice, and no held-out wording among the rows."""
    asked = [(row["instruction"], row["input"]) for row in rows]
    if len(set(asked)) != len(asked):
        raise ValueError(f"double rows: {sorted(pair for pair in set(asked) if asked.count(pair) > 1)}")
    leaked = {row["instruction"] for row in held_out} & {instruction for instruction, _ in asked}
    if leaked:
        raise ValueError(f"held-out wordings among the rows: {leaked}")
    unknown = {row["output"] for row in held_out} - {row["output"] for row in rows}
    if unknown:
        raise ValueError(f"held-out answers that no row teaches: {unknown}")


def main() -> None:
    rng = random.Random(SEED)
    numbers = rows_of(NUMBERS, rng) + continuation_rows()
    app = rows_of(APP, rng)
    rows = numbers + app
    for part in (numbers, app, rows):
        rng.shuffle(part)
    held_out: list[dict[str, object]] = [
        {"instruction": instruction, "input": "", "output": output, "keywords": list(keywords)}
        for instruction, output, keywords in HELD_OUT
    ]
    check(rows, held_out)
    demo, example = ROOT / "phi_tui" / "demo", ROOT / "examples" / "llm_toy"
    write(demo / "toy.jsonl", rows)
    write(demo / "held_out.jsonl", held_out)
    write(example / "train.jsonl", rows)
    write(example / "numbers.jsonl", numbers)
    write(example / "app.jsonl", app)


if __name__ == "__main__":
    main()
