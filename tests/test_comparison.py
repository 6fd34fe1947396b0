"""Both arms are graded on the same questions, and the difference is taken apart without remainder."""

import pytest

from stages.evaluate import comparison
from stages.files import records
from stages.files.errors import UserError
from stages.params.schema import Grading

GRADING = Grading(relative_tolerance=0.01, overlap_threshold=0.4, seed=1)


def answers(path, texts, name="heldout"):
    records.write(
        path,
        [
            {
                "id": str(i),
                "set": name,
                "text": text,
                "tokens": 5,
                "finish_reason": "stop",
                "reference_loss": 2.0 - i / 99,
            }
            for i, text in enumerate(texts)
        ],
    )
    return path


@pytest.fixture
def both(tmp_path):
    def make(before, after, kind="number"):
        rows = [
            {"id": str(i), "set": "heldout", "kind": kind, "question": f"Score {i}?", "answer": str(i), "response": "x"}
            for i in range(len(before))
        ]
        records.write(tmp_path / "raw.jsonl", rows)
        arms = {
            "before": answers(tmp_path / "before.jsonl", before),
            "after": answers(tmp_path / "after.jsonl", after),
        }
        return comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)

    return make


def right(i):
    return f"The score is {i}."


def wrong(i):
    return f"The score is {i + 1}."


def silent(i):
    return "Who knows?"


def test_a_gain_counts_as_better_and_its_mirror_as_worse(both):
    n = range(30)
    better = comparison.summarise(both([wrong(i) for i in n], [right(i) for i in n]), 1)["heldout"]
    worse = comparison.summarise(both([right(i) for i in n], [wrong(i) for i in n]), 1)["heldout"]
    same = comparison.summarise(both([right(i) for i in n], [right(i) for i in n]), 1)["heldout"]
    assert [one["verdict"] for one in (better, worse, same)] == ["better", "worse", "no difference shown"]
    assert (better["fixed"], better["broken"], worse["fixed"], worse["broken"]) == (30, 0, 0, 30)


@pytest.mark.parametrize(
    ("before", "after", "form", "knowledge"),
    [
        ((silent, silent), (right, right), 1.0, 0.0),  # it only began to state answers
        ((wrong, wrong), (right, right), 0.0, 1.0),  # it stated them all along, and is right now
        ((wrong, silent), (right, right), 0.25, 0.75),
        ((silent, silent), (silent, silent), 0.0, 0.0),
        ((right, wrong), (right, silent), -0.375, 0.375),  # as many right, of fewer stated
    ],
)
def test_form_and_knowledge_add_up_to_the_difference(both, before, after, form, knowledge):
    one = comparison.summarise(both([f(i) for i, f in enumerate(before)], [f(i) for i, f in enumerate(after)]), 1)
    assert one["heldout"]["diff_form"] + one["heldout"]["diff_knowledge"] == pytest.approx(one["heldout"]["diff"])
    assert (one["heldout"]["diff_form"], one["heldout"]["diff_knowledge"]) == pytest.approx((form, knowledge))


def test_a_lower_reference_loss_is_better(both):
    rows = both([right(i) for i in range(20)], [right(i) for i in range(20)])
    for index, row in enumerate(rows):
        row["after"]["reference_loss"] -= 0.5 + index / 100
    assert comparison.reference_loss(rows, 1)["verdict"] == "better"
    for row in rows:
        row["before"], row["after"] = row["after"], row["before"]
    assert comparison.reference_loss(rows, 1)["verdict"] == "worse"
    del rows[0]["after"]["reference_loss"]
    assert comparison.reference_loss(rows, 1) is None


def test_scores_name_the_held_out_questions_bare_and_other_sets_by_their_name(both):
    rows = both([wrong(i) for i in range(30)], [right(i) for i in range(30)])
    results = comparison.summarise(rows + [{**row, "set": "after"} for row in rows], 1)
    scores = comparison.scores(results)
    assert {key: scores[key] for key in ("before", "after", "diff", "verdict")} == {
        "before": 0.0,
        "after": 1.0,
        "diff": 1.0,
        "verdict": "better",
    }
    assert set(scores) == {*comparison.SCORES, "after.after", "after.diff", "after.verdict"}


def test_a_cut_off_answer_is_what_the_engine_says(both):
    rows = both([right(0), right(1)], [right(0), right(1)])
    rows[0]["after"]["finish_reason"] = "length"
    result = comparison.summarise(rows, 1)["heldout"]
    assert (result["before_form"]["finish_reason_length"], result["after_form"]["finish_reason_length"]) == (0, 0.5)


def test_arms_that_answer_different_questions_are_refused(tmp_path, both):
    both([right(0)], [right(0)])
    arms = {"before": tmp_path / "before.jsonl", "after": answers(tmp_path / "other.jsonl", [right(0), right(1)])}
    with pytest.raises(UserError, match="answer different questions"):
        comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)


def test_one_question_in_two_sets_is_graded_by_each_set_s_own_rule(tmp_path):
    raw = [
        {"id": "0", "set": name, "kind": kind, "question": "How many?", "answer": "3", "response": "3"}
        for name, kind in (("one", "number"), ("two", "open"))
    ]
    records.write(tmp_path / "raw.jsonl", raw)
    rows = [
        {"id": "0", "set": name, "text": "It is 3.", "tokens": 3, "finish_reason": "stop"} for name in ("one", "two")
    ]
    records.write(tmp_path / "a.jsonl", rows)
    arms = {"before": tmp_path / "a.jsonl", "after": tmp_path / "a.jsonl"}
    graded = comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)
    assert [row["before"]["rule"] for row in graded] == ["number", "match"]


def test_free_questions_are_shown_and_never_graded(tmp_path, both):
    path = answers(tmp_path / "free.jsonl", ["one", "two"], "free")
    assert [row["before"]["text"] for row in comparison.free({"before": path, "after": path}, ["a?", "b?"])] == [
        "one",
        "two",
    ]
    assert comparison.graded([tmp_path / "free.jsonl"], {"before": path, "after": path}, GRADING) == []


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("arm", "remedy"), [("before", "set model.dtype"), ("after", r"lower training\.learning_rate")]
)
def test_a_reference_loss_that_is_not_finite_is_one_clear_line(tmp_path, both, arm, remedy, loss):
    both([right(0), right(1)], [right(0), right(1)])
    arms = {name: tmp_path / f"{name}.jsonl" for name in ("before", "after")}
    rows = list(records.read(arms[arm]))
    rows[1]["reference_loss"] = loss
    records.write(arms[arm], rows)
    with pytest.raises(UserError, match=f"{arm}.jsonl: question 1: reference_loss is {loss}: .*{remedy}"):
        comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)
