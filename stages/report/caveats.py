"""What a result does not show."""

from stages.report.context import Context
from stages.report.wording import label

DEVICE = "This is research software, not a medical device, and nothing it prints is medical advice."


def caveats(context: Context) -> dict[str, str]:
    """Each limit of a result: a few words, and their explanation."""
    said = {
        "No medical device.": f"{DEVICE} A good score here is no evidence of safety at a bedside.",
        **_questions(context),
        **_chance(context),
        "Asked again is not asked afresh.": "Where an answer states nothing, the one that counts follows the model’s "
        "own text, and is the likeliest letter or number: it cannot be “I do not know”. As asked, a model is credited "
        "with what a reader of its answers would not see.",
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


def unasked(context: Context) -> list[str]:
    """The sets without a question in the split that was asked, a sentence each."""
    split = next((result["split"] for result in context.results.values()), "")
    return [
        f"{label(name)}: no question of it is in the {split} split, so it has no verdict here; it needs more rows."
        for name in context.dataset["kept"]
        if name not in ("train", *context.results)
    ]


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


def _chance(context: Context) -> dict[str, str]:
    """What of the recipe, the samples and the form has not been measured."""
    said = {}
    if not context.studies["seeds"]:
        said["One training run, one seed."] = (
            "The intervals say how far the result could move with other questions of the same kind, not with another "
            "seed, another order of the rows or another learning rate. “make seeds N=5” measures the first two."
        )
    if not context.studies["control"]:
        said["Form is not taken out."] = (
            "A model that learns only how to answer gains too. “make control” trains on completions swapped between "
            "questions, which teach nothing but form, and says what that gains."
        )
    if all(result["samples"] == 1 for result in context.results.values()):
        said["One answer a question."] = (
            "Another answer to the same question may differ; a greedy one, the likeliest token each time, only hides "
            "that. generation.samples and temperature ask for more."
        )
    return said
