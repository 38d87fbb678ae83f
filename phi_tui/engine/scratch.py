"""The shapes that a budget of parameters allows, in numbers alone: no model is built and no torch is needed.

A shape is depth, width, heads and feed-forward width.  Given depth and width, the feed-forward width takes up what
is left of the budget, so candidates differ in proportion and hardly in size.  Two of them can be asked for: the
proportion that published models of the size have, and the power of phi nearest to it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from phi_tui import phi
from phi_tui.errors import InputError
from phi_tui.schema import Scratch

Architecture = Literal["llama", "gpt_neox"]

TOKENS_A_PARAMETER = 20
"""Training tokens a parameter for the best loss at a given amount of compute; Hoffmann et al. 2022."""

ASPECTS = ((10e6, 32.0), (124e6, 64.0), (1.4e9, 2048 / 24), (6.7e9, 128.0))
"""Width over depth of published models: TinyStories-8M 256/8, GPT-2 768/12, Pythia-1.4B 2048/24, LLaMA-7B 4096/32."""

_NEAR = (0.02, 0.05, 0.1, 0.2, 0.5)
_HEAD = 64
_SLACK = 1 / 8
_MAX_LAYERS = 128


@dataclass(frozen=True, slots=True)
class Shape:
    """One model's proportions; `note` says why it stands in a table."""

    architecture: Architecture
    vocabulary: int
    context: int
    layers: int
    hidden: int
    heads: int
    intermediate: int
    note: str = ""

    @property
    def head_dimension(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def aspect(self) -> float:
        """Width over depth."""
        return self.hidden / self.layers

    @property
    def parameters(self) -> int:
        """All of them; the output head is the transposed embedding and counts once.

        llama: V d + L (4 d^2 + 3 d f + 2 d) + d.  gpt_neox: V d + L (4 d^2 + 2 d f + 9 d + f) + 2 d.
        """
        d, f, layers = self.hidden, self.intermediate, self.layers
        if self.architecture == "llama":
            return self.vocabulary * d + layers * (4 * d * d + 3 * d * f + 2 * d) + d
        return self.vocabulary * d + layers * (4 * d * d + 2 * d * f + 9 * d + f) + 2 * d

    @property
    def flops_a_token(self) -> int:
        """Training FLOPs a token: 6 N + 6 L T d.

        Every weight multiplies and adds once forward and twice backward: 6 N, the embedding counted as output head.
        Attention over half of T positions on average: 2 T d a layer forward, three times that with the backward pass.
        """
        return 6 * self.parameters + 6 * self.layers * self.context * self.hidden

    @property
    def tokens_wanted(self) -> int:
        """Training tokens that the size asks for: 20 a parameter."""
        return TOKENS_A_PARAMETER * self.parameters

    @property
    def state_bytes(self) -> int:
        """16 bytes a parameter: fp32 weight and gradient, two moments of AdamW."""
        return 16 * self.parameters

    @property
    def row_bytes(self) -> int:
        """What one row of `context` tokens adds in training, in fp32: T L (10 d + 4 f) 4 bytes, and 8 T V of logits."""
        per_token = self.layers * (10 * self.hidden + 4 * self.intermediate) * 4 + 8 * self.vocabulary
        return self.context * per_token


def default_vocabulary(budget: int) -> int:
    """Return the vocabulary for a budget of N parameters: the power of two nearest to 1.2 sqrt(N), 512 to 65,536.

    Tao et al. 2024 let the vocabulary's parameters grow more slowly than the others, N^0.83; with a width that grows
    as N^(1/3) that is a vocabulary of about sqrt(N).  The factor puts 3M parameters at 2,048 and 1.3B at 32,768.
    """
    return int(2 ** min(16, max(9, round(math.log2(1.2 * math.sqrt(budget))))))


def usual_aspect(budget: int) -> float:
    """Return width over depth of published models near `budget`: `ASPECTS`, between them linear in both logarithms."""
    points = [(math.log(size), math.log(aspect)) for size, aspect in ASPECTS]
    at = math.log(budget)
    if at <= points[0][0]:
        return ASPECTS[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if at <= x1:
            return math.exp(y0 + (y1 - y0) * (at - x0) / (x1 - x0))
    return ASPECTS[-1][1]


def candidates(settings: Scratch, vocabulary: int = 0) -> list[Shape]:
    """Return every shape near the budget, by width; `vocabulary` stands for the setting where a tokenizer is known.

    Near is within 2% of the budget; where nothing is, within 5, 10, 20 and at last 50%.  The heads have the dimension
    nearest to 64.  Raises InputError when the budget and the settings allow no shape at all.
    """
    budget = settings.budget
    vocabulary = vocabulary or settings.vocabulary or default_vocabulary(budget)
    every: list[Shape] = []
    for hidden in [settings.hidden] if settings.hidden else _widths(budget, vocabulary):
        heads = settings.heads or _heads(hidden)
        if not heads or hidden % heads or hidden // heads % 2:
            continue
        for layers in [settings.layers] if settings.layers else range(1, _MAX_LAYERS + 1):
            every.append(_fitted(settings, vocabulary, layers, hidden, heads))
    if settings.layers and settings.hidden and every:
        return every  # depth and width are said: the budget only fits the feed-forward width
    for near in _NEAR:
        found = [shape for shape in every if abs(shape.parameters - budget) <= near * budget]
        if found:
            return found
    raise InputError(
        f"no shape has about {short(budget)} parameters with a vocabulary of {vocabulary:,}"
        + (" and the layers, width and heads that are set" if settings.layers or settings.hidden else ""),
        where="scratch.parameters",
        fix="take more parameters or a smaller scratch.vocabulary, and let scratch.layers, hidden and heads be 0; "
        "hidden must divide by heads into an even head dimension",
    )


def conventional(shapes: list[Shape], budget: int) -> Shape:
    """Return the shape whose width over depth is nearest to that of published models of the size."""
    return _nearest(shapes, usual_aspect(budget), budget)


def phi_power(budget: int) -> int:
    """Return k of the power phi^k that is nearest to the usual width over depth, measured in the logarithm."""
    return round(math.log(usual_aspect(budget)) / math.log(phi.PHI))


def golden(shapes: list[Shape], budget: int, power: int = 0) -> Shape:
    """Return the shape whose width over depth is nearest to phi^power; without one, to the power nearest to the usual.

    What is compared is |ln(width / depth) - power ln(phi)|, and among equals the distance to the budget.  A heuristic:
    within wide bounds the loss hardly depends on this proportion at all (Kaplan et al. 2020, section 3.1).
    """
    return _nearest(shapes, phi.power(power or phi_power(budget)), budget)


def choose(settings: Scratch, vocabulary: int = 0) -> Shape:
    """Return the shape that the settings ask for."""
    shapes = candidates(settings, vocabulary)
    return (golden if settings.shape == "phi" else conventional)(shapes, settings.budget)


def table(settings: Scratch, vocabulary: int = 0) -> list[Shape]:
    """Return the shapes worth comparing, widest proportion last: conventional, phi, and powers of phi around it."""
    shapes, budget = candidates(settings, vocabulary), settings.budget
    middle = phi_power(budget)
    named: dict[tuple[int, int], tuple[Shape, list[str]]] = {}

    def add(shape: Shape, note: str) -> None:
        named.setdefault((shape.layers, shape.hidden), (shape, []))[1].append(note)

    add(conventional(shapes, budget), "conventional")
    add(golden(shapes, budget), f"phi: nearest to phi^{middle} = {phi.power(middle):.1f}")
    for power in (middle - 2, middle - 1, middle + 1, middle + 2):
        add(golden(shapes, budget, power), f"scanned: phi^{power} = {phi.power(power):.1f}")
    noted = [_with_note(shape, "; ".join(notes)) for shape, notes in named.values()]
    return sorted(noted, key=lambda shape: shape.aspect)


def short(count: float) -> str:
    """A count as a person writes a budget: 950, 12K, 2.8M, 1.3B."""
    for unit, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= 0.9995 * scale:
            return f"{count / scale:.3g}{unit}"
    return f"{count:.0f}"


def _nearest(shapes: list[Shape], aspect: float, budget: int) -> Shape:
    def distance(shape: Shape) -> tuple[float, float]:
        return round(abs(math.log(shape.aspect / aspect)), 6), abs(shape.parameters - budget)

    return min(shapes, key=distance)


def _widths(budget: int, vocabulary: int) -> list[int]:
    """Widths worth trying: multiples of 8, of 16 from 128, of 64 from 1,024, until one layer is beyond the budget."""
    widths, width = [], 16
    while width * vocabulary + 8 * width * width <= 1.5 * budget and width <= 65_536:
        widths.append(width)
        width += 8 if width < 128 else 16 if width < 1024 else 64
    return widths


def _heads(hidden: int) -> int:
    """The number of heads whose dimension is nearest to 64, in the logarithm; 0 where 48 to 80 cannot be had.

    A width below 128 has two heads, whatever their dimension.
    """
    if hidden < 2 * _HEAD:
        return 2 if hidden % 4 == 0 else 0
    fitting = [size for size in range(48, 81, 8) if hidden % size == 0]
    return hidden // min(fitting, key=lambda size: abs(math.log(size / _HEAD))) if fitting else 0


def _fitted(settings: Scratch, vocabulary: int, layers: int, hidden: int, heads: int) -> Shape:
    """The shape whose feed-forward width brings it nearest to the budget, within an eighth of the usual width.

    Usual is 8/3 d under llama (three matrices do the work of two; Shazeer 2020), 4 d under gpt_neox.
    """
    llama = settings.architecture == "llama"
    usual = 8 * hidden / 3 if llama else 4 * hidden
    step = 64 if hidden >= 1024 else 16 if hidden >= 64 else 8

    def rounded(width: float) -> int:
        return max(step, round(width / step) * step)

    bare = Shape(settings.architecture, vocabulary, settings.context, layers, hidden, heads, 0)
    per_width = layers * (3 * hidden if llama else 2 * hidden + 1)
    wanted = (settings.budget - bare.parameters) / per_width
    width = rounded(min(max(wanted, (1 - _SLACK) * usual), (1 + _SLACK) * usual))
    return Shape(settings.architecture, vocabulary, settings.context, layers, hidden, heads, width)


def _with_note(shape: Shape, note: str) -> Shape:
    from dataclasses import replace

    return replace(shape, note=note)
