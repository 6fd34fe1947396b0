"""The result in sentences and numbers with units; page and summary escape the names."""

from stages.evaluate.comparison import FEW, LEAST
from stages.evaluate.statistics import ALPHA
from stages.files.records import Row

GRADED = {
    "number": "Only the final number is graded, not the reasoning; one that is not whole may be off by {:g} %.",
    "choice": "Only the option stated in the end is graded, not the reasoning.",
    "match": "The grade is weak: it compares wording, not meaning, and does not look at the reasoning.",
    "overlap": "The grade is weak: it compares wording, not meaning; a ROUGE-L F1 of {:g} with the reference is right.",
}
REASONS = {"cut off": "cut off before a final answer"}  # the others are words as they are


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


def points(result: Row) -> str:
    """The difference of two shares in percentage points, with its 95 % interval."""
    return f"{signed(100 * result['diff'])} points, 95 % interval {interval(result)}"


def split(result: Row) -> str:
    """What of a difference is knowledge and what is form, by counts of questions."""
    both, form, knowledge = (result["split"][key] for key in ("both", "form", "knowledge"))
    if not knowledge:
        return (
            f"Form and knowledge are not told apart: both models state an answer, and end in time, on "
            f"{plural(both, 'question')}, and {LEAST} are needed."
        )
    said = {
        "better": "knowledge gained",
        "worse": "knowledge lost",
        "only where both state": "no claim about knowledge, for counted with the questions that one model leaves "
        "unanswered, no difference is shown",
    }.get(knowledge["verdict"], "no difference in knowledge shown")
    before, after = (count(knowledge[arm], both) for arm in ("before", "after"))
    rest = f"Of the other {form['n']:,}, {form['before']:,} are right before and {form['after']:,} after: that is form."
    return (
        f"Of the {plural(both, 'question')} on which both models state an answer and end in time, {before} are right "
        f"before and {after} after ({points(knowledge)}, {p_value(knowledge['p_corrected'])}): {said}."
        + (f" {rest}" if form["n"] else "")
    )


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


def clause(name: str, result: Row) -> str:
    """The verdict on one set with its counts, without an end."""
    n = result["n"]
    before, after = (count(result[arm], n) for arm in ("before", "after"))
    verdict, directions = result["verdict"], {"better": "up", "worse": "down"}
    if direction := directions.get(verdict):
        return f"The fine-tuned model is {verdict} on {name}: {after} of {n:,} right, {direction} from {before}"
    return f"No difference shown on {name}: {before} of {n:,} right before, {after} after"


def numbers(result: Row, sets: int = 1) -> str:
    """The difference, its interval and its p-value; with several sets the corrected one."""
    corrected = f" after Holm’s correction for {sets} sets" if sets > 1 else ""
    return f"{points(result)}, {p_value(result['p_corrected'])}{corrected}"


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


def parting(result: Row, p: float, sets: int = 1) -> str:
    """Why a verdict is not what the interval, or p, alone would say; empty where they agree."""
    if result["verdict"] in ("better", "worse"):
        return ""
    if result["ci_low"] > 0 or result["ci_high"] < 0:
        return f"The interval, of this set alone, holds no 0; after the correction for {sets} sets, p is above 0.05."
    return "p is at most 0.05, but the interval holds 0, and a verdict needs both." if p <= ALPHA else ""


def notes(result: Row, sets: int = 1) -> list[str]:
    """What belongs beside a verdict, a sentence each."""
    said = [few(result), parting(result, result["p_corrected"], sets), power(result), graded(result)]
    return [one for one in said if one]


def sentence(name: str, result: Row, sets: int = 1) -> str:
    """The result of one set: its verdict, its numbers, and what belongs beside them."""
    return " ".join([f"{clause(name, result)} ({numbers(result, sets)}).", *notes(result, sets)])


def headline(results: dict[str, Row]) -> str:
    """The result of all sets in one sentence; `results` by the names to be shown."""
    if not results:
        return "Nothing was graded: there was no held-out question."
    if len(results) == 1:
        return "".join(f"{clause(name, result)}." for name, result in results.items())
    found = [result["verdict"] for result in results.values()]
    better, worse, none = (found.count(one) for one in ("better", "worse", "no difference shown"))
    total = f"{len(results)} sets of questions"
    if none == len(results):
        return f"No difference shown on any of {total}."
    rest = f", no difference shown on {none}" if none else ""
    return f"The fine-tuned model is better on {better or 'none'} of {total}, worse on {worse or 'none'}{rest}."


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
