"""Grades are those of a careful reader: the hand-checked table, and what must hold of every text."""

import json
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.data.sources import builtin
from stages.data.vignettes.catalogue import SCORES
from stages.evaluate import grade as grading
from stages.evaluate.graders.overlap import rouge_l
from stages.files.errors import UserError

# One answer a line: what a careful reader takes it to state, by the documented rules; `miss` where the graders do not.
TABLE = [json.loads(line) for line in Path(__file__).with_name("graded_answers.jsonl").open(encoding="utf-8")]
CHOICE = {"kind": "choice", "options": {"A": "Aspirin", "B": "B cells", "C": "5", "D": "E. coli"}, "answer": "C"}
YES_NO = {"kind": "choice", "options": {"A": "yes", "B": "no", "C": "maybe"}, "answer": "A"}
NUMBER = {"kind": "number", "question": "What is the CURB-65 score?", "answer": "3"}
MATCH = {
    "kind": "open",
    "question": "What is it?",
    "answer": "Parvovirus B19 infection",
    "response": "It is Parvovirus.",
}
OVERLAP = {"kind": "open", "question": "What is it?", "response": "It is Parvovirus B19, which stops red cells."}
RECORDS = [CHOICE, YES_NO, NUMBER, MATCH, OVERLAP]
REASONS = {"empty", "thinking never closes", "no answer stated", "wrong"}
FRAGMENTS = (
    *(
        "the answer is ",
        "A",
        "B",
        "C",
        " or ",
        "not ",
        "yes",
        "no",
        "3",
        "+1 = 2",
        " = ",
        "(",
        ")",
        "\n",
        ". ",
        "</think>",
    ),
    *(
        "<think>",
        "\\boxed{",
        "**",
        "score ",
        "1,250",
        "Aspirin",
        "if ",
        "would ",
        "½",
        "²",
        "\0",
        "\ud800",
        "−",
        ":",
        "?",
    ),
)
PIECES = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)
REPEATED = (
    *(
        "A ",
        "(",
        "[(",
        "the answer is ",
        "answer is the: ",
        "C is the best ",
        "A) B, C ",
        "A.\nB.\n",
        "yes no ",
        "1,",
        "1 = ",
    ),
    *("(1) ", "A of 3 ", "score of ", "\\boxed{", "<a ", "*", "-\n", "9", "\n", " ", "ﷺ", "<think></think>", "x"),
)


def graded(record, text):
    return grading.grade(record, text, relative_tolerance=0.01, overlap_threshold=0.4)


GROUPS = sorted({(row["kind"], row["reason"] or "right") for row in TABLE})


def group(kind, reason):
    """The rows of the table of one kind whose answers are right, or wrong for one reason."""
    return [row for row in TABLE if (row["kind"], row["reason"] or "right") == (kind, reason)]


@pytest.mark.parametrize(("kind", "reason"), GROUPS)
def test_answers_are_graded_as_a_careful_reader_grades_them(kind, reason):
    """Where a row says `miss` they are not: a grader that has learned it no longer needs the word."""
    wrong = []
    for row in group(kind, reason):
        grade = graded(row, row["text"])
        agrees = (grade.extracted, grade.correct, grade.reason) == (row["extracted"], row["correct"], row["reason"])
        if agrees == row.get("miss", False):
            wrong.append((row["text"], grade))
    assert wrong == []


def test_table_is_wide():
    assert len(TABLE) >= 120
    assert {row["kind"] for row in TABLE} == {"choice", "number", "open"}
    assert {row["reason"] for row in TABLE} == REASONS | {None}
    assert sum(row.get("note", "").startswith("real") for row in TABLE) >= 30
    assert sum(row.get("miss", False) for row in TABLE) < 0.02 * len(TABLE)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["kind"])
@settings(deadline=None, max_examples=150)
@given(text=st.one_of(st.text(st.characters(), max_size=300), PIECES))
def test_any_text_gets_a_grade_that_agrees_with_itself(record, text):
    grade = graded(record, text)
    assert grade.reason in REASONS | {None}
    assert grade.correct == (grade.reason is None)
    assert (grade.extracted is None) == (grade.reason in REASONS - {"wrong"})
    if record["kind"] == "choice":
        assert grade.extracted is None or grade.extracted in record["options"]


@pytest.mark.parametrize(("kind", "reason"), [one for one in GROUPS if one[1] != "empty"])
def test_thinking_changes_no_grade(kind, reason):
    for row in group(kind, reason):
        if "think>" not in row["text"]:
            without = graded(row, row["text"])
            assert graded(row, f"<think>Could be A, or 7, or measles. The answer is B.</think>{row['text']}") == without
            assert graded(row, f"Could be A, or 7, or measles. The answer is B.\n</think>\n\n{row['text']}") == without


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["kind"])
def test_nothing_after_the_thinking_is_empty_and_open_thinking_is_wrong(record):
    for text in ("", " \n\u200b", "<think>The answer is C, 3, Parvovirus B19.</think> \n", "</think>**"):
        assert graded(record, text).reason == "empty"
    for text in ("<think>The answer is C, 3, Parvovirus B19.", "<think>", "x</think>The answer is C.<think>So"):
        assert graded(record, text).reason == "thinking never closes"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["kind"])
@pytest.mark.parametrize("piece", REPEATED)
def test_a_megabyte_takes_less_than_a_second(record, piece):
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    graded(record, text)
    assert time.process_time() - start < 1


def test_integers_are_exact_and_other_numbers_within_the_tolerance():
    assert not graded(NUMBER, "The score is 3.01.").correct
    body_mass = {"kind": "number", "answer": "24.7"}
    assert graded(body_mass, "The BMI is 24.6.").correct
    assert not grading.grade(body_mass, "The BMI is 24.6.", relative_tolerance=0.001, overlap_threshold=0.4).correct
    for answer in ("1250", "1,250", "1250 mL", "1250.0"):
        assert graded({"kind": "number", "answer": answer}, "1,250 mL").correct
        assert not graded({"kind": "number", "answer": answer}, "1,251 mL").correct
    with pytest.raises(UserError, match="no number"):
        graded({"kind": "number", "id": "x", "answer": "three-ish or so"} | {"answer": "?"}, "3")


def test_overlap_is_rouge_l_and_its_threshold_decides():
    # As rouge-score 0.1.2 gives them, without its stemmer.
    assert rouge_l("A cat is on the mat", "The cat sat on the mat.") == pytest.approx(2 / 3)
    assert rouge_l("Red cells are stopped by parvovirus B19", "Parvovirus B19 stops red cells") == pytest.approx(1 / 3)
    assert rouge_l("two beta-hCG tests 48 h apart", "β-hCG 48 h apart") == pytest.approx(8 / 11)
    assert rouge_l("", "x") == rouge_l("…", "…") == 0
    for threshold, correct in ((0.6, True), (0.7, False)):
        grade = grading.grade(
            {"kind": "open", "response": "The cat sat on the mat."},
            "<think>The cat sat on the mat.</think>A cat is on the mat",
            relative_tolerance=0.01,
            overlap_threshold=threshold,
        )
        assert (grade.rule, grade.correct, grade.overlap) == ("overlap", correct, pytest.approx(2 / 3))


def test_a_short_answer_is_matched_and_its_overlap_still_shown():
    grade = graded(MATCH, "It is Parvovirus B19.")
    assert (grade.rule, grade.correct) == ("match", True)
    assert grade.overlap == pytest.approx(6 / 7)


@pytest.mark.parametrize("number", range(len(SCORES)), ids=[score.name for score in SCORES])
def test_built_in_answers_are_right_with_and_without_thinking_and_nothing_when_cut(number):
    for row in islice(builtin.rows(11), number, 140, len(SCORES)):
        record = {"kind": "number", "question": row["question"], "answer": row["answer"]}
        steps = row["reasoning"].rpartition(" Total")[0]
        whole = f"{row['reasoning']}\n\n{row['response']}"
        right = [f"<think>\n{row['reasoning']}\n</think>\n{row['response']}", whole, row["reasoning"], row["response"]]
        assert all(graded(record, text).correct for text in right)
        for text in (steps, steps[: len(steps) // 2], row["question"]):
            assert graded(record, text).extracted is None
