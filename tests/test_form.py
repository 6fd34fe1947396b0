"""The form of an answer: thinking, empty, looping; none of it says whether the answer is right."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate import thinking
from stages.evaluate.form import form, looping

REASONING = (
    "Okay, so we have a 74-year-old man with pneumonia, and he is confused. Let's see, confusion gives one point. His "
    "urea is 9.2 mmol/L, and that's above 7, so that's another point. Hmm, what about his breathing? 24 a minute is "
    "fast, but it stays under 30, so nothing there. His blood pressure, 118 over 72, is fine as well. And then there's "
    "his age. He's over 65, so that gives a point too. Let me check that I haven't missed anything: confusion, urea, "
    "respiratory rate, blood pressure, age. Oh, wait, should the migraine count? No, that has nothing to do with it. "
    "So, that makes three points, which means that he should probably be admitted."
)
TOTALS = (
    "CURB-65: age 74 >= 65: +1 = 1; new confusion: +1 = 2; urea 9.2 > 7: +1 = 3; RR 24 < 30: +0 = 3; BP 118/72 not "
    "low: +0 = 3; gout, not scored: +0 = 3. Total 3."
)
TABLE = (
    "| Item | Points |\n|---|---|\n| Confusion | 1 |\n| Urea | 1 |\n| Respiratory rate | 0 |\n| Blood pressure | 0 |\n"
    "| Age | 1 |\n| **Total** | **3** |\n"
)
REVIEW = (
    "A. Lisinopril: unlikely, since it has no role in the first hour.\n"
    "B. Intravenous labetalol: unlikely, since it has no role in asthma.\n"
    "C. Aspirin: likely, since it has a role in the first hour.\n"
    "D. Heparin: unlikely, since it has no role with a low platelet count.\n"
    "E. Warfarin: unlikely, since it has no role in the first hour.\n"
)
# What the embedded model wrote before training, shortened in the middle.
PARAGRAPHS = (
    "The CURB-65 score is a medical condition that is defined as a blood pressure of 140/90 mmHg, which is considered "
    "to be a high risk of cardiovascular disease. This condition is also known as a high blood pressure syndrome.\n\n"
)
REFRAIN = "No, does frozen section {} surgical management is not the answer you're looking for.\n\nThe answer is:\n\n"
CHANGING = REFRAIN.format("alter") + 3 * REFRAIN.format("does not alter")


@pytest.mark.parametrize(
    "text", [REASONING, TOTALS, f"{TOTALS} {REASONING}", TABLE, REVIEW, PARAGRAPHS, "", "no no no"]
)
def test_reasoning_totals_and_tables_are_no_loop(text):
    assert not looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "The patient was discharged from hospital with no further treatment. " * 8,
        REASONING + " So he should be admitted." * 5,
        REASONING + " So he should be admitted." * 4 + " So he",
        REASONING + " Wait." * 20,
        "A CHA2D-VASC" + "-VASC" * 60,
        PARAGRAPHS * 3,
        CHANGING,
        "\n".join([REASONING] * 5),
        "答案是什么，" * 10,
    ],
)
def test_the_same_again_and_again_is_a_loop(text):
    assert looping(text)


def test_a_span_said_three_times_or_in_under_twenty_words_is_no_loop():
    assert not looping(REASONING + " So he should be admitted to hospital today." * 3)
    assert not looping("Wait. " * 19)
    assert looping("Wait. " * 20)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>\nso\n</think>\n3", ("closed", "so", "3")),
        ("so</think>3", ("closed", "so", "3")),
        ("<think>a</think>b<think>c</think>d", ("closed", "a</think>b<think>c", "d")),
        ("<THINK></THINK>", ("closed", "", "")),
        ("<think>so", ("open", "so", None)),
        ("<think>a</think>b<think>c", ("open", "a</think>b<think>c", None)),
        ("3\n", ("none", None, "3")),
        ("I think that 3", ("none", None, "I think that 3")),
        ("", ("none", None, "")),
    ],
)
def test_thinking_is_closed_open_or_none_and_the_answer_follows_it(text, parts):
    assert thinking.split(text) == parts
    assert form(text)["thinking"] == parts[0]


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        ("", True),
        (" \u200b\n", True),
        ("**", True),
        ("<think>so</think>\n", True),
        ("<think>", True),
        ("<think>so", False),
        ("C", False),
        ("↓", False),
    ],
)
def test_empty_is_nothing_behind_the_thinking(text, empty):
    assert form(text)["empty"] is empty


@settings(deadline=None)
@given(st.text(st.characters(), max_size=400))
def test_any_text_has_a_form(text):
    assert set(form(text)) == {"thinking", "empty", "looping"}


@pytest.mark.parametrize("piece", ["A ", "(", "\n", "x", "ab cd ", "<think>", "答", "a a b "])
def test_a_long_text_takes_seconds_at_most(piece):
    start = time.process_time()
    form(piece * (300_000 // len(piece)))
    assert time.process_time() - start < 20
