"""What needs no model: the best constant, chance and the nearest training question, graded as the models are."""

import time

import pytest

from stages.evaluate import comparison
from stages.evaluate.baselines import baselines, nearest
from stages.params.schema import Grading

GRADING = Grading(relative_tolerance=0.01, overlap_threshold=0.4, seed=1)
OPTIONS = {"A": "aspirin", "B": "heparin", "C": "labetalol", "D": "warfarin"}


def of(*keys, kind="number", questions=None, options=None):
    """Rows of a set with these keys."""
    questions = questions or [f"Question {i}?" for i in range(len(keys))]
    return [
        {
            "record": {"id": str(i), "kind": kind, "question": question, "answer": key}
            | ({"options": options} if options else {})
        }
        for i, (key, question) in enumerate(zip(keys, questions, strict=True))
    ]


def records_of(*keys, **more):
    return [row["record"] for row in of(*keys, **more)]


def test_the_constant_is_the_key_of_most_questions():
    found, scores = baselines(of("3", "0", "0", "5", "0.0"), [], GRADING)
    assert found["most_frequent"] == {"answer": "0", "rate": 0.6}  # 0.0 is the same number
    assert (found["best"], scores) == ("most_frequent", [False, True, True, False, True])
    found, _ = baselines(of("B", "C", "B", kind="choice", options=OPTIONS), [], GRADING)
    assert found["most_frequent"] == {"answer": "B", "rate": pytest.approx(2 / 3)}


@pytest.mark.parametrize("given", ["2", "-1", "1.5", "1,500", "90 %", "0.05"])
def test_every_key_is_read_where_it_is_the_constant(given):
    assert baselines(of(given), [], GRADING)[0]["most_frequent"]["rate"] == 1


@pytest.mark.parametrize("letter", [*"ABCDEFGHIJ"])
def test_every_letter_is_read_where_it_is_the_constant(letter):
    options = {one: f"drug {one.lower()}x" for one in "ABCDEFGHIJ"}
    assert baselines(of(letter, kind="choice", options=options), [], GRADING)[0]["most_frequent"]["rate"] == 1


def test_chance_is_one_of_the_options_or_an_answer_drawn_from_the_training_rows():
    rows = of("A", "B", kind="choice", options=OPTIONS)
    rows[0]["record"]["options"] = {"A": "yes", "B": "no"}
    assert baselines(rows, [], GRADING)[0]["chance"]["rate"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    training = records_of("0", "0", "0", "1")
    assert baselines(of("0", "7"), training, GRADING)[0]["chance"]["rate"] == pytest.approx((3 / 4 + 0) / 2)
    assert baselines(of("0", "0", "7", "8"), [], GRADING)[0]["chance"]["rate"] == pytest.approx((2 * 2 + 1 + 1) / 16)


def test_the_nearest_training_question_gives_its_answer():
    training = records_of("1", "2", questions=["A man with gout and fever.", "A woman with asthma and gout."])
    rows = of("1", "2", "9", questions=["A man has fever?", "A woman has asthma?", "A woman, asthma"])
    found, scores = baselines(rows, training, GRADING)
    assert (found["nearest"], found["best"], scores) == ({"rate": pytest.approx(2 / 3)}, "nearest", [True, True, False])


def test_without_training_answers_of_that_kind_there_is_no_nearest():
    other = [*records_of("A", kind="choice", options=OPTIONS), {"kind": "number", "question": "Why?"}]
    assert baselines(of("1", "2"), other, GRADING)[0]["nearest"] is None
    assert baselines(of("x", kind="open"), other, GRADING) is None


def test_a_rare_word_weighs_more_than_common_ones_and_of_equals_the_first_is_taken():
    known = ["the patient has the flu", "the patient has anosmia", "the patient has anosmia"]
    assert nearest(["has the patient the anosmia", "THE FLU!", "zzz", ""], known) == [1, 0, 0, 0]


def test_many_questions_take_seconds():
    texts = [f"A {i} year old with finding {i % 97} and sign {i * 7 % 1009}" for i in range(2_000)]
    start = time.process_time()
    assert nearest(texts, texts) == [texts.index(text) for text in texts]
    assert time.process_time() - start < 60


def test_better_than_the_base_is_not_better_than_a_constant():
    def arm(correct):
        one = {"correct": correct, "written": correct, "stated": "x", "was_asked": False, "extracted": "x", "tokens": 1}
        one |= {"thinking": "none", "finish_reason": "stop", "empty": False, "looping": False, "reason": None}
        return {**one, "rule": "number", "samples": [one]}

    rows = of(*["0"] * 30, *map(str, range(1, 31)))
    right = {"heldout": 30, "other": 60}
    every = [
        row | {"set": name, "before": arm(False), "after": arm(i < n)}
        for name, n in right.items() for i, row in enumerate(rows)
    ]  # fmt: skip
    results = comparison.summarise(every, GRADING)
    assert {name: one["verdict"] for name, one in results.items()} == dict.fromkeys(right, "better")
    assert results["heldout"]["baselines"]["verdict"] == "no difference shown"  # as good as always 0
    assert results["other"]["baselines"]["verdict"] == "better"
    assert results["other"]["baselines"]["against"]["diff"] == 0.5
