"""What a result does not show."""

from stages.evaluate.comparison import ARMS
from stages.files.records import Row
from stages.report.context import Context
from stages.report.wording import percent

DEVICE = "This is research software, not a medical device, and nothing it prints is medical advice."


def caveats(context: Context) -> dict[str, str]:
    """Each limit of a result: a few words, and their explanation."""
    said = {
        "No medical device.": f"{DEVICE} A good score here is no evidence of safety at a bedside.",
        **_questions(context),
        "One training run, one seed.": "The intervals say how far the result could move with other questions of the "
        "same kind, not with another seed, another order of the rows or another learning rate.",
        "One answer a question.": "Both models answer greedily, the likeliest token each time. Sampled answers would "
        "vary from one to the next; greedy ones only hide that.",
        "Form and knowledge are mixed.": "An answer that never states a result, or is cut off before it does, counts "
        "as wrong. Part of a gain can be the habit of ending in time and stating a "
        f"result{_form(context.results)}. Knowledge is compared where both models state one; which questions those "
        "are is up to the models, and nothing is known of the others. “Right, of those that state one” is of other "
        "questions before than after.",
        "Graders are rules.": "They grade the final answer alone and know nothing of medicine. A correct answer in "
        "unusual words may count as wrong, and wrong reasoning with a right last line counts as right: unfold some of "
        "it.",
    }
    if any(result["weak"] for result in context.results.values()):
        said["Weak grades."] = (
            "Open answers are compared with a reference by their wording. That agrees with experts only part of the "
            "time, so a verdict on a set marked weak is a hint, not a result."
        )
    if any(result["verdict"] == "no difference shown" for result in context.results.values()):
        few = "“No difference shown” is not “no difference”."
        said[few] = "It means that these questions showed none; a small one may be there."
    said["One base model."] = "Another model, or the same one at another size, may gain more, less or nothing."
    if context.free:
        said["Free questions prove nothing."] = "They are not graded, and may stand in the training rows."
    return said


def _questions(context: Context) -> dict[str, str]:
    if context.dataset["source"] == "builtin":
        return {
            "Scores, not judgement.": "The built-in questions ask for bedside scores made by rule from published "
            "criteria. They test whether a model adds up a score from a short vignette, not clinical judgement; and "
            "the held-out ones come from the same generator as the rows learned from."
        }
    return {
        "Questions like those learned from.": "The held-out questions come from the same dataset as the training rows. "
        "A gain on them may be a gain in that dataset’s way of asking and answering, and need not carry over to other "
        "questions, let alone to patients."
    }


def _form(results: dict[str, Row]) -> str:
    """The shares of stated answers, where there is a single evaluation set."""
    if len(results) != 1:
        return ""
    ((_, result),) = results.items()
    before, after = (percent(result[f"{arm}_form"]["stated"]) for arm in ARMS)
    return f" ({before} of answers state one before, {after} after)"
