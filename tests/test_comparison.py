"""Both arms are graded on the same questions, and the difference is taken apart without remainder."""

import gc

import numpy as np
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
    better = comparison.summarise(both([wrong(i) for i in n], [right(i) for i in n]), GRADING)["heldout"]
    worse = comparison.summarise(both([right(i) for i in n], [wrong(i) for i in n]), GRADING)["heldout"]
    same = comparison.summarise(both([right(i) for i in n], [right(i) for i in n]), GRADING)["heldout"]
    assert [one["verdict"] for one in (better, worse, same)] == ["better", "worse", "no difference shown"]
    assert (better["fixed"], better["broken"], worse["fixed"], worse["broken"]) == (30, 0, 0, 30)


@pytest.mark.parametrize(
    ("before", "after", "stated_by_both", "knowledge", "form"),
    [
        ([silent] * 40, [right] * 40, 0, None, (0, 40)),  # it only began to state answers
        ([wrong] * 40, [right] * 40, 40, (0, 40, "better"), (0, 0)),  # it stated them all along, and is right now
        ([right] * 20 + [wrong] * 20, [wrong] * 20 + [silent] * 20, 20, (20, 0, "worse"), (0, 0)),
        ([wrong] * 20 + [silent] * 20, [right] * 40, 20, (0, 20, "better"), (0, 20)),
        ([right] * 19 + [silent] * 21, [wrong] * 40, 19, None, (0, 0)),  # too few to tell
        ([right] * 20 + [wrong] * 20, [right] * 20 + [silent] * 20, 20, (20, 20, "no difference shown"), (0, 0)),
    ],
)
def test_knowledge_is_compared_where_both_state_and_the_rest_is_form(
    both, before, after, stated_by_both, knowledge, form
):
    rows = both([f(i) for i, f in enumerate(before)], [f(i) for i, f in enumerate(after)])
    result = comparison.summarise(rows, GRADING)["heldout"]
    split, n = result["split"], result["split"]["both"]
    assert n == stated_by_both
    assert split["form"] == {"n": 40 - n, "before": form[0], "after": form[1]}
    found = split["knowledge"]
    assert (found and (n * found["before"], n * found["after"], found["verdict"])) == knowledge
    if found:
        assert found["diff"] * n + form[1] - form[0] == pytest.approx(40 * result["diff"])


def states(known, draw):
    """Answers that state a result: right where it is known, and on one question in ten by chance the other way."""
    right = known ^ (draw.random(200) < 0.1)
    return [{"correct": bool(one), "extracted": "A", "finish_reason": "stop"} for one in right]


def reviews(answers, known, draw):
    """The base goes through the options one by one: no grader reads a result, least of all in long, right answers."""
    lost, none = draw.random(200) < np.where(known, 0.7, 0.4), {"correct": False, "extracted": None}
    return [one | (none if gone else {}) for one, gone in zip(answers, lost, strict=True)]


def guesses(answers, known, draw):
    """A third of the base's answers is cut, and a guess on the way is read as its result."""
    cut = {"correct": False, "finish_reason": "length"}
    return [one | (cut if draw.random() < 1 / 3 else {}) for one in answers]


def abstains(answers, known, draw):
    """It leaves out half of what it would get wrong."""
    none = {"extracted": None}
    return [one | (none if not one["correct"] and draw.random() < 0.5 else {}) for one in answers]


def same(answers, known, draw):
    return answers


@pytest.mark.parametrize(
    ("base", "tuned", "alike"),
    [
        *((reviews, same, True), (guesses, same, True), (same, abstains, True), (abstains, same, True)),
        *((guesses, same, False), (same, abstains, False), (abstains, same, False)),
    ],
)
def test_where_knowledge_is_equal_none_is_called_gained_or_lost(base, tuned, alike, monkeypatch):
    """Both know as much: the same questions or, where they are not alike, as many others.

    Not held, for nothing in the answers tells it: a base that states what it does not know, while the tuned model knows
    other questions.
    """
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels collects garbage at every call
    runs, wrong = 100, 0
    for seed in range(runs):
        draw = np.random.default_rng(seed)
        known = draw.random(200) < 0.5
        other = known if alike else draw.random(200) < 0.5
        arms = base(states(known, draw), known, draw), tuned(states(other, draw), other, draw)
        rows = [{"record": {}, "before": one, "after": two} for one, two in zip(*arms, strict=True)]
        split = comparison._split(rows, 1)
        wrong += split["knowledge"]["verdict"] in ("better", "worse")
    assert wrong <= 0.06 * runs


def test_a_gain_of_the_fewer_answers_that_are_left_is_no_gain_of_knowledge(both):
    before = [right] * 20 + [wrong] * 40
    after = [right] * 32 + [silent] * 28
    rows = both([f(i) for i, f in enumerate(before)], [f(i) for i, f in enumerate(after)])
    assert comparison.summarise(rows, GRADING)["heldout"]["split"]["knowledge"]["verdict"] == "better"
    for row in rows[:12]:
        row["before"], row["after"] = row["before"], {**row["after"], "correct": False, "extracted": None}
    assert comparison.summarise(rows, GRADING)["heldout"]["split"]["knowledge"]["verdict"] == "only where both state"


def test_a_set_of_few_questions_or_groups_is_called_few(both):
    def few(rows):
        (result,) = comparison.summarise(rows, GRADING).values()
        return result["few"], comparison.scores({"heldout": result})["few"]

    rows = both([wrong(i) for i in range(30)], [right(i) for i in range(30)])
    assert few(rows) == (False, False)
    assert few(rows[:6]) == (True, True)
    for i, row in enumerate(rows):
        row["record"]["group"] = str(i // 2)
    assert few(rows) == (True, True)


def test_groups_widen_every_interval_and_are_counted(both):
    rows = both([[wrong, right][i % 8 < 4](i) for i in range(160)], [[right, wrong][i % 16 < 4](i) for i in range(160)])
    alone = comparison.summarise(rows, GRADING)["heldout"]
    for i, row in enumerate(rows):
        row["record"]["group"] = str(i // 4)
    grouped = comparison.summarise(rows, GRADING)["heldout"]
    assert (alone["groups"], grouped["groups"]) == (None, 40)
    for low, high in (("ci_low", "ci_high"), ("before_low", "before_high"), ("after_low", "after_high")):
        assert grouped[high] - grouped[low] > 1.8 * (alone[high] - alone[low])
    assert grouped["smallest_difference"] > 1.5 * alone["smallest_difference"]
    assert {key: grouped[key] for key in ("before", "after", "diff", "fixed")} == {
        key: alone[key] for key in ("before", "after", "diff", "fixed")
    }


def test_knowledge_is_corrected_for_several_sets_as_the_verdict_is(both):
    rows = both([[right, wrong][i < 6](i) for i in range(30)], [right(i) for i in range(30)])
    alone = comparison.summarise(rows, GRADING)["heldout"]
    with_another = comparison.summarise([*rows, *({**row, "set": "other"} for row in rows)], GRADING)["heldout"]
    for found, verdict in ((alone, "better"), (with_another, "no difference shown")):
        assert found["verdict"] == found["split"]["knowledge"]["verdict"] == verdict
        assert found["split"]["knowledge"]["p_corrected"] == found["p_corrected"]


def test_a_lower_reference_loss_is_better(both):
    rows = both([right(i) for i in range(20)], [right(i) for i in range(20)])
    for index, row in enumerate(rows):
        row["after"]["reference_loss"] -= 0.5 + index / 100
    assert comparison.reference_loss(rows, 1)["verdict"] == "better"
    for row in rows:
        row["before"], row["after"] = row["after"], row["before"]
    assert comparison.reference_loss(rows, 1)["verdict"] == "worse"
    del rows[0]["after"]["reference_loss"]
    rows[1]["before"]["reference_loss"] = None
    assert comparison.reference_loss(rows, 1) == comparison.reference_loss(rows[2:], 1)
    assert comparison.reference_loss(rows[2:], 1)["n"] == 18
    assert comparison.reference_loss(rows[:2], 1) is None


def test_scores_name_the_held_out_questions_bare_and_other_sets_by_their_name(both):
    rows = both([wrong(i) for i in range(30)], [right(i) for i in range(30)])
    results = comparison.summarise(rows + [{**row, "set": "after"} for row in rows], GRADING)
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
    result = comparison.summarise(rows, GRADING)["heldout"]
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
    arms = {"before": path, "after": path}
    assert comparison.graded([path], arms, GRADING) == []
    records.write(path, [{**row, "id": records.fingerprint(f"{'ab'[int(row['id'])]}?")} for row in records.read(path)])
    assert [row["before"]["text"] for row in comparison.free(arms, ["a?", "b?"])] == ["one", "two"]
    for others in (["b?", "a?"], ["a?"], ["a?", "b?", "c?"]):
        with pytest.raises(UserError, match=r"free\.jsonl answer other free questions: run `dvc repro`$"):
            comparison.free(arms, others)


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
