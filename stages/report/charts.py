"""The report's charts, each an SVG element with a label that says the same in words."""

import math
from statistics import median_high

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stages.evaluate.comparison import ARMS
from stages.files.records import Row
from stages.report.context import Context
from stages.report.display import clean
from stages.report.svg import BETTER, INK, PAPER, SOFT, WIDTH, WORSE, drawn
from stages.report.verdict import baseline_rates, views
from stages.report.wording import label, percent, points, signed, span

VERDICTS = {"better": BETTER, "worse": WORSE}
NAME = 44  # characters of a set's name that fit
LEFT, LEFT_WORDS, RIGHT = 58, 78, 62
BINS = 24
History = list[tuple[float, float | None, float | None]]  # step, loss, loss on the held-out rows


def all_of(context: Context) -> dict[str, str]:
    """The report's charts by name."""
    results = {label(name): result for name, result in context.results.items()}
    tokens = ([one["tokens"] for row in context.rows for one in row[arm]["samples"]] for arm in ARMS)
    return {
        "rates": rates(results),
        "differences": differences(results),
        "loss": loss(history(context.loss)),
        "lengths": lengths(*tokens),
    }


def rates(results: dict[str, Row]) -> str:
    """The share of right answers before and after, by set, with 95 % intervals."""

    def draw(axes: Axes) -> None:
        for row, (name, result) in enumerate(results.items()):
            _name(axes, 3 * row, name, result, -LEFT / (WIDTH - LEFT - RIGHT))
            verdict = VERDICTS.get(result["verdict"], INK)
            for y, arm, color, fill in ((1, "before", SOFT, PAPER), (2, "after", verdict, verdict)):
                low, rate, high = (100 * result[key] for key in (f"{arm}_low", arm, f"{arm}_high"))
                _interval(axes, 3 * row + y, low, rate, high, "o", color, fill)
                axes.text(-3, 3 * row + y, arm, ha="right", va="center", color=SOFT)
                axes.text(103, 3 * row + y, percent(result[arm]), ha="left", va="center", weight="bold")
            if found := result["baselines"]:
                rate = 100 * found[found["best"]]["rate"]
                axes.plot([rate, rate], [3 * row + 0.6, 3 * row + 2.4], ":", color=SOFT, linewidth=2)
        axes.set(xlim=(0, 100), ylim=(3 * len(results) - 0.4, -0.6), xticks=range(0, 101, 25), yticks=[])
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.set_xlabel("right answers, with 95 % intervals")

    words = [
        f"{clean(name)}: {percent(result[arm])} right {arm} ({span(result[f'{arm}_low'], result[f'{arm}_high'])})"
        for name, result in results.items()
        for arm in ARMS
    ] + [f"{clean(name)}, without a model: {baseline_rates(one)}" for name, one in results.items() if one["baselines"]]
    label = "Right answers with 95 % intervals. " + "; ".join(words)
    return drawn("rates", label, 78 * len(results) + 52, draw, left=LEFT, right=RIGHT)


def differences(results: dict[str, Row]) -> str:
    """The change in the share of right answers, by set, with its 95 % interval."""

    def draw(axes: Axes) -> None:
        ends = [0.0]
        for row, (name, result) in enumerate(results.items()):
            _name(axes, 3 * row, name, result, -LEFT_WORDS / (WIDTH - LEFT_WORDS - RIGHT))
            axes.plot([0, 0], [3 * row + 0.5, 3 * row + 2.5], color=SOFT, linewidth=1.5)
            for y, (what, one) in enumerate(views(result)[: 2 if result["written"] else 1], 1):
                low, diff, high = (100 * one[key] for key in ("ci_low", "diff", "ci_high"))
                color = VERDICTS.get(one["verdict"], INK)
                _interval(axes, 3 * row + y, low, diff, high, "D", color, color if y == 1 else PAPER)
                outside = axes.get_yaxis_transform()
                axes.text(
                    -0.02, 3 * row + y, what.split(",")[0], ha="right", va="center", color=SOFT, transform=outside
                )
                axes.text(1.04, 3 * row + y, signed(diff), weight="bold", transform=outside, va="center")
                ends += [low, high]
        room = 0.06 * max(20.0, max(ends) - min(ends))
        axes.set(xlim=(min(ends) - room, max(ends) + room), ylim=(3 * len(results) - 0.4, -0.6), yticks=[])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: signed(value, 0))
        axes.set_xlabel("points, after less before, with 95 % intervals")

    words = [
        f"{clean(name)}, {what}: {points(one)}"
        for name, result in results.items()
        for what, one in views(result)[: 2 if result["written"] else 1]
    ]
    label = "Change in right answers. " + "; ".join(words)
    return drawn("differences", label, 78 * len(results) + 52, draw, left=LEFT_WORDS, right=RIGHT)


def history(rows: list[dict[str, str]]) -> History:
    """The logged losses; what is missing or not finite becomes None."""

    def number(text: str) -> float | None:
        return float(text) if text and math.isfinite(float(text)) else None

    return [(float(row["step"]), number(row["loss"]), number(row["eval_loss"])) for row in rows]


def loss(history: History) -> str:
    """The loss by step: of the rows learned from, and of held-out rows where it was measured."""
    learned = [(step, value) for step, value, _ in history if value is not None]
    held = [(step, value) for step, _, value in history if value is not None]

    def draw(axes: Axes) -> None:
        if learned:
            axes.plot(*zip(*learned, strict=True), color=INK, linewidth=1.75, label="rows learned from")
        if held:
            axes.plot(*zip(*held, strict=True), "o--", color=BETTER, linewidth=1.75, label="held-out rows")
            axes.legend(frameon=False, loc="upper right")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="optimizer step", ylabel="loss, nats a token")

    words = [
        f"{what}: {line[0][1]:.2f} nats a token at step {line[0][0]:.0f}, {line[-1][1]:.2f} at step {line[-1][0]:.0f}"
        for what, line in (("rows learned from", learned), ("held-out rows", held))
        if line
    ]
    return drawn("loss", "Loss by step. " + "; ".join(words), 250, draw, left=52, right=14)


def lengths(before: list[int], after: list[int]) -> str:
    """The share of each arm's answers by their length in tokens; neither arm is empty."""
    longest = max(*before, *after)
    width = math.ceil((longest + 1) / BINS)
    edges = range(0, longest + width + 1, width)

    def draw(axes: Axes) -> None:
        for arm, tokens, color, style in (("before", before, SOFT, "--"), ("after", after, INK, "-")):
            counts, _ = np.histogram(tokens, edges)
            axes.stairs(100 * counts / len(tokens), edges, color=color, linestyle=style, linewidth=1.75, label=arm)
        axes.legend(frameon=False, loc="upper center")
        axes.yaxis.set_major_formatter("{x:.0f} %")
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="tokens of the answer", ylabel="share of answers", ylim=(0, None), xlim=(0, edges[-1]))

    label = f"Length of the answers: a median of {median_high(before)} tokens before, {median_high(after)} after"
    return drawn("lengths", label, 250, draw, left=62, right=14)


def _interval(axes: Axes, y: float, low: float, middle: float, high: float, sign: str, color: str, fill: str) -> None:
    axes.plot([low, high], [y, y], color=color, linewidth=2.5, solid_capstyle="round", clip_on=False)
    axes.plot(middle, y, sign, color=color, markerfacecolor=fill, markersize=8, markeredgewidth=2, clip_on=False)


def _name(axes: Axes, y: float, name: str, result: Row, x: float) -> None:
    name = clean(name if len(name) <= NAME else f"{name[:NAME]}…")
    weak = " (weak grade)" if result["weak"] else ""
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, f"{name}{weak}", transform=axes.get_yaxis_transform(), va="center", weight="bold", bbox=box)
