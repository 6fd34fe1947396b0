"""Copies of evaluation questions are found, each by the first rule that applies; other questions are not."""

import json
import os
import random
import re
import string
import subprocess
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from stages.data import dataset
from stages.data.leaks import PASSAGE, SAME, SIMILAR, Leaks
from stages.data.sources import builtin

ROOT = Path(__file__).resolve().parent.parent
# Two hands wrote of the same things: no sentence of one is in the other.
ONE = """\
A 54-year-old woman comes to the clinic because of tingling in both hands that wakes her at night.
She has had type 2 diabetes for 11 years, and she takes metformin 1,000 mg twice a day.
Her blood pressure is 148/92 mmHg, her pulse 88/min, and her temperature 36.9 °C.
On examination there is wasting of the thenar eminence on the right, but not on the left.
Phalen's manoeuvre brings the tingling back within 40 seconds; Tinel's sign is negative.
Laboratory studies show a TSH of 9.1 mU/L, an HbA1c of 8.4%, and a normal full blood count.
He smoked a pack a day for thirty years and stopped when his brother had a heart attack.
A chest radiograph shows a cavity of 3 cm in the upper lobe, with a thick and uneven wall.
Three sputum samples were taken on successive mornings; the first is positive on Ziehl-Neelsen stain.
His wife and their two children, aged 4 and 9 years, live with him and feel well.
The CHA₂DS₂-VASc score was four in spring, so he was given apixaban, which he often forgets.
Which nerve is compressed, and what would you do before you think of an operation?
Which drug should be left out of the usual four, given that his vision is already poor?
Would you treat the children now, or wait until the result of their skin tests is known?""".splitlines()
OTHER = """\
A woman of 54 with long-standing diabetes reports numb fingers, worse when she drives or holds a book.
She takes metformin and, for the past month, a thyroid hormone that another doctor prescribed.
At the first visit the blood pressure was 160/75 mmHg and there was no fever.
The muscles at the base of the thumb look thinner than they did in last year's photograph.
Bending both wrists for a minute makes no difference, but tapping over the carpal tunnel does.
The thyroid test is raised at 12.7 mU/L, and the glycated haemoglobin has fallen to 7.1%.
His father died of lung cancer; he himself gave up cigarettes after 35 pack-years.
The film of his chest shows an irregular hole near the apex of the left lung.
Acid-fast rods were seen in one of the three specimens that he coughed up this week.
Nobody else in the household coughs, and the youngest child was vaccinated at birth.
He has atrial fibrillation, but does not like tablets, and missed his last two appointments.
What does the electromyogram show at this stage, and does a splint help?
How long must he stay away from work once the tablets have been started?
Which of these findings would make you look for resistance to rifampicin?""".splitlines()


def paragraphs(bank, count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.sample(bank, rng.randint(3, 6))) for _ in range(count)]


def salad(rng, count, letters=8):
    """Words that were never seen before."""
    return ["".join(rng.choices(string.ascii_lowercase, k=letters)) for _ in range(count)]


def rows(questions, name="mine"):
    return [{"set": name, "question": question} for question in questions]


SCORED = [row["question"] for row in islice(builtin.rows(7), 400)]
ASKED = list(dict.fromkeys([q for q in SCORED if len(q.split()) >= 20][:150] + paragraphs(ONE, 100, seed=1)))


@pytest.fixture(scope="module")
def asked():
    """Leaks of 250 questions of 20 words and more."""
    assert len(ASKED) == 250
    assert all(len(question.split()) >= 20 for question in ASKED)
    return Leaks(rows(ASKED))


# --- planted copies ---------------------------------------------------------------------------------------------------


def upper_case(text, rng):
    return text.upper()


def swapped_case(text, rng):
    return text.swapcase()


def other_marks(text, rng):
    return re.sub(r"[^\w\s]", lambda _: rng.choice(" ;!—“*"), text)


def no_marks(text, rng):
    return text.translate(str.maketrans("", "", string.punctuation))


def other_spacing(text, rng):
    return "\n" + "".join(word + rng.choice([" ", "\t", "\r\n\n", "\u00a0\u2003"]) for word in text.split())


def moved_sentence(text, rng):
    sentences = re.split(r"(?<=[.?:;,]) ", text)
    sentences.insert(rng.randrange(1, len(sentences)), sentences.pop(0))
    return " ".join(sentences)


def tenth(start, stop_early):
    def change(text, rng):
        words = text.split()
        places = range(start, len(words), 10)
        for place in places[: len(words) // 10] if stop_early else places:
            (words[place],) = salad(rng, 1)
        return " ".join(words)

    return change


def longest_tenth(text, rng):
    words = text.split()
    for place in sorted(range(len(words)), key=lambda place: -len(words[place]))[: len(words) // 10]:
        (words[place],) = salad(rng, 1)
    return " ".join(words)


def dropped_tenth(text, rng):
    return " ".join(word for place, word in enumerate(text.split()) if place % 10 != 4)


def everything(text, rng):
    return tenth(9, True)(other_spacing(no_marks(moved_sentence(text, rng), rng), rng).upper(), rng)


@pytest.mark.parametrize("change", [upper_case, swapped_case, other_marks, other_spacing])
def test_a_copy_written_differently_is_the_same_question(change, asked):
    rng = random.Random(1)
    copies = [change(question, rng) for question in ASKED]
    assert not set(copies) & set(ASKED)
    assert [asked.reason(copy) for copy in copies] == [("mine", SAME)] * len(ASKED)


@pytest.mark.parametrize(
    "change",
    [
        no_marks,
        moved_sentence,
        longest_tenth,
        dropped_tenth,
        everything,
        *(pytest.param(tenth(start, True), id=f"a tenth from {start}") for start in (4, 9)),
        *(pytest.param(tenth(start, False), id=f"a tenth rounded up from {start}") for start in range(0, 10, 2)),
    ],
)
def test_a_changed_copy_is_found_as_another_question(change, asked):
    rng = random.Random(2)
    copies = {question: change(question, rng) for question in ASKED}
    changed = {q: copy for q, copy in copies.items() if dataset.normalise(q) != dataset.normalise(copy)}
    assert len(changed) > 200
    assert not [copy for copy in changed.values() if asked.reason(copy) is None]


def test_where_every_tenth_word_is_changed_and_all_are_moved_only_the_bag_of_words_finds_the_copy(asked):
    rng = random.Random(3)
    moved = [tenth(4, False)(dataset.normalise(question), rng).split() for question in ASKED]
    reasons = [asked.reason(" ".join(rng.sample(words, len(words)))) for words in moved]
    assert reasons == [("mine", SIMILAR)] * len(ASKED)


def test_words_that_are_said_again_count_again():
    rng = random.Random(4)
    words = [word for pair in zip(["the"] * 20, salad(rng, 20), strict=True) for word in pair]
    leaks = Leaks(rows([" ".join(words)]))
    changed = [*words]
    changed[5::10] = salad(rng, 4)
    assert leaks.reason(" ".join(rng.sample(changed, 40))) == ("mine", SIMILAR)
    assert leaks.reason(" ".join(dict.fromkeys(words))) is None


@pytest.mark.parametrize(
    ("length", "changed", "found"),
    [
        (8, 1, False),
        (9, 1, True),
        (19, 2, True),
        (19, 3, False),
        (20, 3, False),
        (21, 3, True),
        (21, 4, False),
        (30, 4, False),
        (60, 7, False),
        (100, 11, True),
        (100, 12, False),
    ],
)
def test_similar_is_four_fifths_of_the_words_or_one_in_ten_changed(length, changed, found):
    rng = random.Random(length + changed)
    questions = [salad(rng, length) for _ in range(200)]
    leaks = Leaks(rows(map(" ".join, questions)))
    for words in questions:
        for index in range(changed):
            (words[(2 * index + 1) * length // (2 * changed)],) = salad(rng, 1)
        rng.shuffle(words)
    expected = ("mine", SIMILAR) if found else None
    assert {leaks.reason(" ".join(words)) for words in questions} == {expected}


# --- forty letters in a row -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 200, 382, 383])
def test_forty_letters_in_a_row_of_six_words_are_a_leak_and_fewer_are_none(place):
    rng = random.Random(place)
    words = salad(rng, 400, letters=6)
    passage, question = " ".join(words[:385]), " ".join(words[385:])
    leaks = Leaks(rows([f"{passage}\n\n{question}?"]))
    for count, expected in ((7, ("mine", PASSAGE)), (6, None)):
        shared = words[place : place + count]
        text = [*salad(rng, 15), *shared, *salad(rng, 15)]
        assert leaks.reason(" ".join(text).capitalize()) == expected
        assert leaks.reason(", ".join(shared)) == expected
        assert leaks.reason("What is it?", "So.", f"It is {'-'.join(shared)}.") == expected


def test_forty_letters_of_fewer_words_are_a_leak_only_as_a_whole_question():
    term = "transjugular intrahepatic portosystemic shunt"
    leaks = Leaks(rows([f"A woman of 54 with cirrhosis has a {term}; why is she drowsy?"]))
    assert leaks.reason(f"What is the name of a {term.upper()}?") is None
    leaks = Leaks(rows([f"{term}?"]))
    assert leaks.reason("Name one.", f"Perhaps a {term.upper()}, or another.") == ("mine", PASSAGE)


def test_a_question_under_forty_letters_leaks_only_as_a_whole():
    leaks = Leaks(rows(["What is the first drug for croup and stridor?"]))
    assert leaks.reason("what is the first drug, for croup and stridor") == ("mine", SAME)
    assert leaks.reason("In croup and stridor, what is the first drug for") == ("mine", SIMILAR)
    assert leaks.reason("Say it: what is the first drug for croup and stridor? Tell me at once.") is None
    assert leaks.reason("What is the last drug for croup or asthma?") is None


STOCK = " ".join(salad(random.Random(0), 13))  # common in a set alone


@pytest.mark.parametrize(
    ("total", "with_it", "stock"),
    [(1, 1, False), (3, 3, False), (4, 4, True), (200, 6, False), (200, 7, True), (300, 9, False), (300, 10, True)],
)
def test_a_phrase_of_common_words_is_no_leak(total, with_it, stock):
    rng = random.Random(total)
    asked = [" ".join(salad(rng, 30)) + (f" {STOCK}" if index < with_it else "") for index in range(total)]
    other = rows([" ".join(salad(rng, 20)) for _ in range(400)], "other")
    end = asked[0].split()[27:]
    for leaks in (Leaks(rows(asked)), Leaks(rows(asked) + other)):
        for rare, expected in ((0, stock), (2, stock), (3, False)):  # words of eight letters
            learned = " ".join([*salad(rng, 30), *end[3 - rare :]])
            assert leaks.reason(learned) == (None if expected else ("mine", PASSAGE))


@pytest.mark.parametrize(
    "phrase",
    [
        "Which of the following is the most appropriate next step in the management of this patient?",
        "A man is brought to the emergency department because of chest pain for two days; temperature is normal.",
    ],
)
def test_a_stock_phrase_of_english_questions_is_no_leak_in_a_set_of_few(phrase):
    rng = random.Random(12)
    leaks = Leaks(rows([f"{' '.join(salad(rng, 20))} {phrase}"]))
    assert leaks.reason("Other?", f"{' '.join(salad(rng, 20))} {phrase} {' '.join(salad(rng, 20))}") is None


def test_words_that_one_question_repeats_are_not_common():
    words = salad(random.Random(11), 13)
    assert Leaks(rows([" ".join(words * 20)])).reason(" ".join(words)) == ("mine", PASSAGE)


# --- ten kinds of overlap, with the share of each that is found -------------------------------------------------------

LOOKALIKE = str.maketrans("aceopxyisjABEHKMOPTX", "асеорхуіѕјАВЕНКМОРТХ")
FILLER = "Let me think about this before I say anything at all."


def choices(count):
    """Questions with four options each, of several words that no other has."""
    rng = random.Random(20)
    return [
        {"set": "mine", "question": question, "options": {one: " ".join(salad(rng, 3, 6)) for one in "ABCD"}}
        for question in rng.sample([one for one in ASKED if one in SCORED], count)
    ]


CHOICES = choices(60)


def listed(row, form="{}. {}", between="\n"):
    return between.join(form.format(letter, text) for letter, text in row["options"].items())


def typo(text, rng):
    """Two letters swapped in one of eight words."""
    words = text.split()
    for at in rng.sample(range(len(words)), len(words) // 8):
        start = rng.randrange(max(1, len(words[at]) - 1))
        words[at] = words[at][:start] + words[at][start : start + 2][::-1] + words[at][start + 2 :]
    return " ".join(words)


def synonyms(text, rng):
    """Another word for one of eight, at random places."""
    words = text.split()
    for at in rng.sample(range(len(words)), len(words) // 8):
        (words[at],) = salad(rng, 1)
    return " ".join(words)


def line_ends(text, rng):
    """Every fourth word divided at a line end."""
    words = text.split()
    return " ".join(w if at % 4 or not w.isalpha() else f"{w[:3]}-\n{w[3:]}" for at, w in enumerate(words))


SMALL = str.maketrans("abcdefghiklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ")
OVERLAPS = {
    "small capitals": (1.0, lambda row, rng: [row["question"].translate(SMALL)]),
    "HTML": (1.0, lambda row, rng: ["<p>" + row["question"].replace(" ", "&nbsp;<b>") + "</b></p>"]),
    "underscores": (1.0, lambda row, rng: ["_".join(row["question"].split())]),
    "look-alike letters": (1.0, lambda row, rng: [row["question"].translate(LOOKALIKE)]),
    "no spaces": (1.0, lambda row, rng: ["".join(row["question"].split())]),
    "hyphens at line ends": (1.0, lambda row, rng: [line_ends(row["question"], rng)]),
    "invisible characters": (1.0, lambda row, rng: ["\u200b\u00ad".join(row["question"])]),
    "in the reasoning": (1.0, lambda row, rng: ["Other?", f"{FILLER} {row['question']} {FILLER}", "Yes."]),
    "disguised in the response": (
        1.0,
        lambda row, rng: ["Other?", "So.", f"{FILLER}{line_ends(row['question'].translate(LOOKALIKE), rng)}{FILLER}"],
    ),
    "options as lines": (1.0, lambda row, rng: [f"Other?\n{listed(row)}"]),
    "options in a sentence": (1.0, lambda row, rng: ["Other?", f"It is {listed(row, '{1}', ', ')}.", "A."]),
    "a typo in eight words": (0.95, lambda row, rng: [typo(row["question"], rng)]),
    "one word in eight replaced": (0.95, lambda row, rng: [synonyms(row["question"], rng)]),
}


@pytest.fixture(scope="module")
def asked_choices():
    return Leaks(CHOICES)


@pytest.mark.parametrize("kind", OVERLAPS)
def test_planted_overlaps_are_found(kind, asked_choices):
    least, plant = OVERLAPS[kind]
    rng = random.Random(21)
    found = [asked_choices.reason(*plant(row, rng)) for row in CHOICES]
    assert sum(one is not None for one in found) >= least * len(found), [
        row["question"] for row, one in zip(CHOICES, found, strict=True) if one is None
    ]
    if least == 1.0:
        assert SIMILAR not in {rule for _, rule in found}


def test_one_stem_with_other_options_is_another_question():
    stem, rng = "Which of these statements about the thyroid gland is true?", random.Random(22)
    *four, other = [{one: " ".join(salad(rng, 3)) for one in "AB"} for _ in range(5)]
    asked = [{"set": "mine", "question": stem, "options": options} for options in four]
    leaks = Leaks(asked)
    for row in asked:
        assert leaks.reason(f"{stem}\n{listed(row)}") == ("mine", SAME)
        assert leaks.reason(f"{stem} {listed(row, '{1}', ', ')}") == ("mine", SAME)
    assert leaks.reason(f"{stem}\n{listed({'options': other})}") is None
    assert leaks.reason(stem) is None
    assert Leaks(asked[:1]).reason(stem) == ("mine", SAME)  # no other question has it


def test_options_that_other_questions_have_too_are_no_leak():
    options = {"A": "yes, in every case that was seen", "B": "no, in none of the cases", "C": "in some of the cases"}
    rng = random.Random(23)
    asked = [{"set": "mine", "question": " ".join(salad(rng, 20)), "options": options} for _ in range(9)]
    assert Leaks(asked).reason(f"Other?\n{listed(asked[0])}") is None
    assert Leaks(asked[:1]).reason(f"Other?\n{listed(asked[0])}") == ("mine", PASSAGE)


@pytest.mark.parametrize(
    "copy",
    [
        "一名五十四岁女性患者，因双手麻木三个月就诊，夜间加重。既往有２型糖尿病病史，最可能的诊断是什么？",
        "一名 54 岁女性患者因双手麻木三个月就诊 夜间加重 既往有 2 型糖尿病病史 最可能的诊断是什么",
        "一名54岁女性患者，因两手麻木三个月就诊，夜间加重。既往有2型糖尿病病史，最可能的诊断是什么？",
    ],
)
def test_a_language_without_spaces_is_compared_letter_by_letter(copy):
    asked = "一名54岁女性患者，因双手麻木三个月就诊，夜间加重。既往有2型糖尿病病史，最可能的诊断是什么？"
    leaks = Leaks(rows([asked]))
    assert leaks.reason(copy) is not None
    assert leaks.reason("一名男性患者，因胸痛两小时就诊，心电图示ST段抬高，应首先给予什么治疗？") is None


# --- what is no copy --------------------------------------------------------------------------------------------------


def test_unrelated_questions_on_the_same_matters_are_no_leaks(asked):
    assert not [text for text in paragraphs(OTHER, 300, seed=5) if asked.reason(text)]


def test_other_vignettes_of_the_same_scores_are_no_leaks():
    questions = list(dict.fromkeys(row["question"] for row in islice(builtin.rows(42), 800)))
    heldout = [question for question in questions if dataset.split_of(question, 0.5, 0.2) != "train"]
    train = [question for question in questions if dataset.split_of(question, 0.5, 0.2) == "train"]
    assert len(heldout) > 120
    assert len(train) > 600
    leaks = Leaks(rows(heldout))
    assert sum(leaks.reason(question) is not None for question in train) <= 0.005 * len(train)


def test_numbers_are_words(asked):
    leaks = Leaks(rows(["CURB-65: urea 9.2 mmol/L?", "A man of 68, urea 9.2, RR 24?"]))
    assert leaks.reason("CURB-65: urea 3.2 mmol/L?") is None
    assert leaks.reason("CURB-65: urea 92 mmol/L?") != ("mine", SAME)
    assert leaks.reason("A man of 86, urea 2.9, RR 42?") is None
    for question in ASKED:
        other = re.sub(r"\d", lambda digit: str(9 - int(digit[0])), question)
        if other != question:
            assert asked.reason(other) != ("mine", SAME)


@pytest.mark.parametrize(
    "copy",
    [
        "CHA2DS2-VASc of a naïve man, ≥ 65, SpO2 93%: 5 μg?",
        "cha₂ds₂ vasc of a nai\u0308ve man 65 SpO₂ 93 5 µg",
        "ＣＨＡ２ＤＳ２－ＶＡＳｃ OF A NAIVE MAN, > 65, SPO2 93%: 5 µG?",
    ],
)
def test_letters_that_only_look_different_are_the_same(copy):
    assert Leaks(rows(["CHA₂DS₂-VASc of a naïve man, ≥ 65, SpO₂ 93%: 5 µg?"])).reason(copy) == ("mine", SAME)


def test_nothing_leaks_from_nothing():
    for question in ("", "?!", *ASKED[:5]):
        assert Leaks([]).reason(question) is None
    leaks = Leaks(rows(["?!", "\ud800", "™", ASKED[0]]))
    assert leaks.reason(ASKED[1]) is None
    assert leaks.reason("№") is None
    assert leaks.reason(f"\ud800 {ASKED[0]}") == ("mine", SAME)


# --- which set, which rule --------------------------------------------------------------------------------------------


def test_the_first_rule_that_applies_is_named_whichever_set_it_finds():
    rng = random.Random(6)
    words = salad(rng, 40)
    question = " ".join(words)
    part = " ".join(words[:20] + salad(rng, 40))
    similar = " ".join(random.Random(7).sample(words, 40))
    expected = [("c", question, SAME), ("b", part, PASSAGE), ("a", similar, SIMILAR)]
    for first, (name, _, rule) in enumerate(expected):
        leaks = Leaks({"set": name, "question": text} for name, text, _ in expected[first:])
        assert leaks.reason(question) == (name, rule)


@pytest.mark.parametrize("rule", [SAME, PASSAGE, SIMILAR])
def test_of_several_sets_the_first_by_name_is_named_in_any_order(rule):
    rng = random.Random(8)
    words = salad(rng, 40)
    texts = {
        SAME: [" ".join(words), " ".join(words).upper(), "? ".join(words)],
        PASSAGE: [" ".join(words[start : start + 20] + salad(rng, 20)) for start in (0, 0, 18)],
        SIMILAR: [" ".join(rng.sample(words, 40)) for _ in range(3)],
    }[rule]
    unrelated = rows([" ".join(salad(rng, 30)) for _ in range(20)], "a")
    for names in ("bcd", "dcb", "cbd", "bbc"):
        given = [*unrelated, *({"set": name, "question": text} for name, text in zip(names, texts, strict=True))]
        for order in (given, given[::-1], rng.sample(given, len(given))):
            assert Leaks(order).reason(" ".join(words)) == ("b", rule)


SCRIPT = """
import json, sys
from stages.data.leaks import Leaks
given = json.load(sys.stdin)
leaks = Leaks(given["rows"])
print(json.dumps([leaks.reason(question) for question in given["questions"]]))
"""


def test_neither_the_order_of_the_rows_nor_pythons_hash_seed_changes_a_reason(asked):
    rng = random.Random(9)
    given = rows(ASKED[::2], "even") + rows(ASKED[1::2], "odd")
    half = [" ".join(question.split()[: len(question.split()) // 2]) for question in ASKED[::5]]
    questions = half + [change(q, rng) for change in (no_marks, tenth(4, False)) for q in ASKED[::5]]
    found = []
    for seed, order in (("0", given), ("1", given[::-1]), ("2", rng.sample(given, len(given)))):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps({"rows": order, "questions": questions}),
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]
    assert {tuple(one) if one else one for one in found[0]} >= {None, ("even", PASSAGE), ("odd", SIMILAR)}


def test_memory_does_not_grow_with_the_questions_that_are_compared(asked):
    rng = random.Random(10)
    learned = [" ".join(salad(rng, 50)) for _ in range(600)]
    for question in learned[:100]:
        asked.reason(question)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for question in learned[100:]:
            asked.reason(question)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000  # they have 225,000 characters
