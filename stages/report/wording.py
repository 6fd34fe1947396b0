"""Numbers with their units, and the sentences about one set; page and summary escape them."""

from stages.evaluate.comparison import FEW
from stages.evaluate.statistics import ALPHA
from stages.files.records import Row

GRADED = {
    "number": "Only the final number is graded, not the reasoning; one that is not whole may be off by {:g} %.",
    "choice": "Only the option stated in the end is graded, not the reasoning.",
    "match": "The grade is weak: it compares wording, not meaning, and does not look at the reasoning.",
    "overlap": "The grade is weak: it compares wording, not meaning; a ROUGE-L F1 of {:g} with the reference is right.",
}
REASONS = {"cut off": "cut off before a final answer"}  # the others are words as they are
BASELINES = {  # what needs no model: in a sentence, and in a cell
    "most_frequent": ("always answering “{answer}”", "always “{answer}”"),
    "chance": ("chance", "chance"),
    "nearest": ("copying the answer of the nearest training question", "nearest training question"),
}


def label(name: str) -> str:
    """The name of an evaluation set in words."""
    return "held-out questions" if name == "heldout" else name


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 in percent."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def span(low: float, high: float) -> str:
    """The ends of an interval of a share, in percent."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, a true minus; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def shares(result: Row, rate: float) -> str:
    """How many of the questions a rate is; with several samples, the rate itself."""
    return f"{count(rate, result['n'])} of {result['n']:,}" if result["samples"] == 1 else percent(rate)


def baseline(result: Row, name: str, *, short: bool = False) -> str:
    """What needs no model, in words."""
    answer = result["baselines"][name].get("answer")
    return BASELINES[name][short].format(answer=answer)


def points(result: Row) -> str:
    """The difference of two shares in percentage points, with its 95 % interval."""
    return f"{signed(100 * result['diff'])} points, 95 % interval {interval(result)}"


def interval(result: Row) -> str:
    """The ends of the interval of a difference, in points."""
    return f"{signed(100 * result['ci_low'])} to {signed(100 * result['ci_high'])}"


def p_value(p: float) -> str:
    """A p-value as it is usually printed."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def count(share: float, n: int) -> str:
    """A share as how many of n."""
    return f"{round(share * n):,}"


def plural(n: int, noun: str) -> str:
    """A number with its noun."""
    return f"{n:,} {noun}" + "s" * (n != 1)


def power(result: Row) -> str:
    """What a set could not have shown; nothing where a difference was shown."""
    if result["verdict"] in ("better", "worse"):
        return ""
    asked, smallest = plural(result["n"], "question"), result["smallest_difference"]
    asked += f" in {plural(result['groups'], 'group')}" if result["groups"] else ""
    if smallest is None:
        return f"With {asked}, no difference however large could have been shown."
    return (
        f"With {asked}, only a true difference of at least {100 * smallest:.0f} points would have been found in 80 % "
        "of runs: a smaller one may be there."
    )


def graded(result: Row) -> str:
    """What of an answer is graded, and how strictly."""
    percents = 100 if result["rule"] == "number" else 1
    return GRADED[result["rule"]].format(percents * (result["threshold"] or 0))


def reason(name: str | None) -> str:
    """Why an answer is wrong, in words."""
    return REASONS.get(name or "wrong", name or "wrong")


def few(result: Row) -> str:
    """A warning where a set is small; empty where it is not."""
    of = plural(result["groups"], "group") + " of questions" if result["groups"] else plural(result["n"], "question")
    return f"With {of}, fewer than {FEW}, a verdict is a hint, not a result." if result["few"] else ""


def parting(result: Row, p: float) -> str:
    """Why a verdict is not what the interval, or p, alone would say; empty where they agree."""
    if result["verdict"] in ("better", "worse"):
        return ""
    if result["ci_low"] > 0 or result["ci_high"] < 0:
        return "The interval, of this set alone, holds no 0; after its correction, p is above 0.05."
    return "p is at most 0.05, but the interval holds 0, and a verdict needs both." if p <= ALPHA else ""


def reference_loss(loss: Row | None) -> str:
    """How likely the reference texts became, in a sentence; empty where it was not measured."""
    if not loss:
        return ""
    likely = {"better": "more likely", "worse": "less likely"}.get(loss["verdict"])
    means = f"the fine-tune makes the reference texts {likely}" if likely else loss["verdict"]
    diff, low, high = (signed(loss[key], 3) for key in ("diff", "ci_low", "ci_high"))
    return (
        f"A token of the reference reasoning and response, of {plural(loss['n'], 'question')}, costs "
        f"{loss['before']:.3f} nats before and {loss['after']:.3f} after ({diff} nats, 95 % interval {low} to {high}, "
        f"{p_value(loss['p_value'])}; lower is better): {means}. {parting(loss, loss['p_value'])}"
    ).strip()


def export_note(export: Row) -> str:
    """What the table of exported files compares, and what makes one fail."""
    first = next(iter(export["artefacts"].values()))
    return (
        f"Each file answered {plural(first['n'], 'question')} greedily in its own runtime, with its own chat template. "
        f"The adapter’s own greedy answers are right, as written, in {percent(first['before'])}. Other kernels round "
        "otherwise, so some answers differ; nats off are log-probabilities of the likeliest tokens at the first steps. "
        f"A file fails with more than {100 * export['margin']:g} points fewer right, stopped or with their thinking "
        "shown, with another prompt, dtype or special tokens, without a Modelfile, or with the base model’s logits."
    )


def export_verdict(one: Row, margin: float) -> str:
    """What an exported file has shown: that it fails, that it is not worse by the margin, or neither."""
    if one["failures"]:
        return "fails: " + "; ".join(one["failures"])
    if one["ci_low"] >= -margin:
        return f"no worse than −{100 * margin:g} points"
    return f"passes; up to {-100 * one['ci_low']:.1f} points worse is not ruled out"
