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
from stages.evaluate.thinking import TAGS, Tags
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
OPENED = TAGS._replace(opened=True)
RECORDS = [CHOICE, YES_NO, NUMBER, MATCH, OVERLAP]
REASONS = {"empty", "cut off", "thinking never closes", "no answer stated", "wrong"}
FRAGMENTS = (
    "the answer is |A|B|C| or |not |yes|no|3|+1 = 2| = |(|)|\n|. |</think>|<think>|\\boxed{|**|score |1,250|Aspirin|"
    "if |would |½|²|\0|\ud800|−|:|?|答案|选|Antwort: |ответ|Question:|wait, |12 mL/min|one and a half"
)
PIECES = st.lists(st.sampled_from(FRAGMENTS.split("|")), max_size=30).map("".join)
REPEATED = [
    "A ",
    "[(",
    "the answer is ",
    "C is the best ",
    "A.\nB.\n",
    "- no, ",
    "yes no ",
    "wait, ",
    "1,",
    "1 = ",
    "9",
]
REPEATED += ["score of ", "<a ", "*", "-\n", " ", "ﷺ", "x", "答案是", "<think></think>"]
# An answer in a form, and another answer where a reader passes over it.
FORMS = {
    "bare": "{0}",
    "bold": "**{0}**",
    "heading": "### Final answer\n\n**{0}**",
    "prose": "The answer is {0}.",
    "last line": "One might think of {1} first.\n\nAnswer: {0}",
    "last line, bold": "It could be {1}.\n\n**Answer:** {0}",
    "boxed": "So the final answer is: $\\boxed{{{0}}}$",
    "tag": "<answer>{0}</answer>",
    "HTML": "<p>The answer is <b>{0}</b>.</p>",
    "JSON": '{{"answer": "{0}"}}',
    "table": "| Question | Answer |\n|---|---|\n| | {0} |\n\nAnswer: {0}",
    "quotation": "> **{0}**",
    "template heading": "### Response:\n\n{0}",
    "Windows lines": "{0}\r\n\r\n### Question\r\nAnd now?\r\n\r\n### Answer\r\n{1}",
    "thinking": "<think>Perhaps {1}. The answer is {1}.</think>\n{0}",
    "thinking, opened by the prompt": "Perhaps {1}. The answer is {1}.\n</think>\n\nThe answer is {0}.",
    "a question of its own": "{0}\n\n### Query:\nAnd what now?\n\n### Answer:\n{1}",
    "a turn of its own": "The answer is {0}.<|im_end|>\n<|im_start|>user\nAnd now?<|im_end|>\nThe answer is {1}.",
    "self-correction": "The answer is {1}. Wait, that is not right. The answer is {0}.",
    "German": "Die richtige Antwort ist {0}.",
    "Spanish": "**Respuesta:** {0}",
    "French": "La bonne réponse est {0}.",
    "Chinese": "所以答案是{0}。",
    "Chinese, a line": "答案：{0}",
    "Japanese": "答えは{0}です。",
    "Korean": "정답: {0}",
    "Russian": "Правильный ответ: {0}",
    "Arabic": "الإجابة الصحيحة هي {0}",
}
ANSWERS = [
    (CHOICE | {"options": {"A": "Aspirin", "B": "Heparin", "C": "Warfarin", "D": "Insulin"}}, "C", "B"),
    (CHOICE | {"options": {"A": "Aspirin", "B": "Heparin", "C": "Warfarin", "D": "Insulin"}}, "Warfarin", "Heparin"),
    (YES_NO, "yes", "no"),
    (NUMBER, "3", "4"),
    ({"kind": "open", "question": "What is it?", "answer": "Measles"}, "Measles", "Rubella"),
    ({"kind": "open", "question": "是什么？", "answer": "肺炎"}, "肺炎", "哮喘"),
]


def graded(record, text, **how):
    return grading.grade(record, text, relative_tolerance=0.01, overlap_threshold=0.4, **how)


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
    assert {row["kind"] for row in TABLE} == {"choice", "number", "open"}
    assert {row["reason"] for row in TABLE} == REASONS - {"cut off"} | {None}
    assert sum(row.get("note", "").startswith("real") for row in TABLE) >= 25
    assert sum(row.get("miss", False) for row in TABLE) < 0.03 * len(TABLE) <= 20


@pytest.mark.parametrize(
    ("record", "right", "wrong"), ANSWERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_form_of_an_answer_changes_no_grade(record, right, wrong):
    for name, form in FORMS.items():
        assert graded(record, form.format(right, wrong)).correct, name
        grade = graded(record, form.format(wrong, right))
        assert (grade.correct, grade.reason) == (False, "wrong"), name


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
            assert graded(row, f"Could be A, or 7. The answer is B.\n</think>\n\n{row['text']}", tags=OPENED) == without
            other = f"## Thinking\nThe answer is B.\n## Final Response\n{row['text']}"
            assert graded(row, other, tags=Tags("## Thinking", "## Final Response")) == without


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["kind"])
def test_nothing_after_the_thinking_is_empty_and_open_thinking_is_wrong(record):
    for text in ("", " \n\u200b", "<think>The answer is C, 3, Parvovirus B19.</think> \n", "</think>**"):
        assert graded(record, text).reason == "empty"
    for text in ("<think>The answer is C, 3, Parvovirus B19.", "<think>", "x</think>The answer is C.<think>So"):
        assert graded(record, text).reason == "thinking never closes"
    assert graded(record, "The answer is C, 3, Parvovirus B19. But wait, let", tags=OPENED).extracted is None


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["kind"])
def test_a_text_cut_off_before_its_thinking_closes_is_one_category_with_tags_and_without(record):
    said = "The answer is C, yes, 3, Parvovirus B19."
    for text in (f"{said} But wait, let", f"<think>{said} But wait, let"):
        for tags in (TAGS, OPENED):
            assert graded(record, text, finish_reason="length", tags=tags) == graded(
                record, "So", finish_reason="length"
            )
    assert graded(record, "So", finish_reason="length").reason == "cut off"
    for complete in (f"<think>x</think>{said}", f"{said}\n\n### Query:\nA man of 60"):
        assert graded(record, complete, finish_reason="length").extracted == graded(record, said).extracted is not None


@pytest.mark.parametrize(("record", "said"), [(CHOICE, "C"), (YES_NO, "yes"), (NUMBER, "3"), (MATCH, "Parvovirus B19")])
def test_a_whole_line_of_the_answer_counts_in_a_cut_text_and_half_a_one_or_one_in_a_thinking_does_not(record, said):
    for text in (f"So.\nAnswer: {said}\n\nNote: this", f"**Answer:** {said}\n\nAnswer: {said}\n\nAns"):
        assert graded(record, text, finish_reason="length").correct
        assert graded(record, f"<think>{text}", finish_reason="length").reason == "cut off"
        assert graded(record, text, finish_reason="length", tags=OPENED).reason == "cut off"
    assert graded(record, f"So.\nAnswer: {said}", finish_reason="length").reason == "cut off"


@pytest.mark.parametrize("record", [CHOICE, YES_NO, NUMBER, MATCH], ids=lambda record: record["kind"])
@pytest.mark.parametrize("piece", [*REPEATED, "Answer: ", "Answer:\n"])
def test_a_long_text_takes_seconds_at_most(record, piece):
    """Time grows with the text: a pattern that looks back at all of it takes minutes, whatever the machine does."""
    text = piece * (300_000 // len(piece))
    for finish_reason in ("length", "stop"):
        start = time.process_time()
        graded(record, text, finish_reason=finish_reason)
        assert time.process_time() - start < 20


def test_integers_are_exact_other_numbers_within_the_tolerance_and_units_converted():
    assert not graded(NUMBER, "The score is 3.01.").correct
    body_mass = {"kind": "number", "answer": "24.7"}
    assert graded(body_mass, "The BMI is 24.6.").correct
    assert not grading.grade(body_mass, "The BMI is 24.6.", relative_tolerance=0.001, overlap_threshold=0.4).correct
    for answer in ("1250", "1,250", "1250 mL", "1250.0"):
        assert graded({"kind": "number", "answer": answer}, "1,250 mL").correct
        assert not graded({"kind": "number", "answer": answer}, "1,251 mL").correct
    dose = {"kind": "number", "question": "What is the dose in mg?", "answer": "500"}
    assert [graded(dose, text).correct for text in ("0.5 g", "500,000 µg", "500 g", "500")] == [True, True, False, True]
    share = {"kind": "number", "question": "What is the risk in percent?", "answer": "40"}
    assert [graded(share, text).correct for text in ("0.4", "2 of 5", "40%", "0.4%")] == [True, True, True, False]
    with pytest.raises(UserError, match="no number"):
        graded({"kind": "number", "id": "x", "answer": "three-ish or so"} | {"answer": "?"}, "3")


def test_overlap_is_rouge_l_and_its_threshold_decides():
    # As rouge-score 0.1.2 gives them, without its stemmer.
    assert rouge_l("A cat is on the mat", "The cat sat on the mat.") == pytest.approx(2 / 3)
    assert rouge_l("Red cells are stopped by parvovirus B19", "Parvovirus B19 stops red cells") == pytest.approx(1 / 3)
    assert rouge_l("", "x") == rouge_l("…", "…") == 0
    for threshold, correct in ((0.6, True), (0.7, False)):
        grade = grading.grade(
            {"kind": "open", "response": "The cat sat on the mat."},
            "<think>The cat sat on the mat.</think>A cat is on the mat",
            relative_tolerance=0.01,
            overlap_threshold=threshold,
        )
        assert (grade.rule, grade.correct, grade.overlap) == ("overlap", correct, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("text", "other", "f1"),
    [
        ("最可能是肺栓塞，CT", "诊断为肺炎，CT", 2 * 2 / (8 + 6)),
        ("肺栓塞", "肺栓塞", 1),
        ("肺がん CT", "骨折 CT", 2 * 1 / (4 + 3)),
        ("Это инфаркт", "это Инсульт", 1 / 2),
        ("réponse très claire", "Réponse claire", 4 / 5),
        ("التهاب الرئة", "التهاب الكبد", 1 / 2),
    ],
)
def test_overlap_knows_words_of_every_script_and_han_and_kana_by_character(text, other, f1):
    assert rouge_l(text, other) == rouge_l(other, text) == pytest.approx(f1)


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
        assert [text for text in right if not graded(record, text).correct] == []
        cut = [steps, steps[: len(steps) // 2], row["question"]]
        assert [text for text in cut if graded(record, text).extracted is not None] == []
