"""Evaluation sets of every shape become questions that can be asked and graded; what cannot is dropped and counted."""

import hashlib
import json
import sys
from collections import Counter
from string import ascii_uppercase

import pytest

from stages import fetch_dataset, params
from stages.data import evaluation_sets
from stages.data.dataset import Cleaner
from stages.data.evaluation_sets import letter_of, options_of
from stages.files import records
from stages.files.errors import UserError
from stages.params.__main__ import merged
from tests.test_dataset import written

ABC = {"A": "Aspirin", "B": "Iron", "C": "Rest"}
MANY = [f"Text {index}" for index in range(27)]


@pytest.fixture
def ask(values, tmp_path, monkeypatch):
    """Make records of rows in data/input by an evaluation set with given settings; returns them and the cleaner."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/input").mkdir(parents=True)

    def ask(raw, columns=(), **changes):
        (tmp_path / "data/input/set.jsonl").write_text("".join(map(records.line, raw)), encoding="utf-8")
        one = {"name": "mine", "source": "files", "kind": "choice", "rows": 100, "options": None}
        one |= {"answer_key": None if changes.get("kind", "choice") != "choice" else "letter"}
        one |= {"data_files": ["set.jsonl"], **changes}
        one["columns"] = {
            "question": "q",
            "answer": "a",
            "options": None,
            "context": None,
            "group": None,
            **dict(columns),
        }
        cleaner = Cleaner()
        (wanted,) = params.check({**values, "evaluation_sets": [one]}).evaluation_sets
        return list(evaluation_sets.rows(wanted, 0.5, cleaner)), cleaner

    return ask


@pytest.mark.parametrize(
    "given",
    [
        ABC,
        {"a": "Aspirin", " b ": " Iron ", "C": "Rest"},
        {"C": "Rest", "B": "Iron", "A": "Aspirin"},
        {**ABC, "D": None},  # how a table with a column a letter says that a row has no D
        ["Aspirin", "Iron", "Rest"],
        [" Aspirin", "Iron\n", "Rest"],
        "A. Aspirin\nB. Iron\nC. Rest",
        "A) Aspirin\nB) Iron\nC) Rest\n",
        "(A) Aspirin\r\n\r\n  (B)  Iron \r\n(C) Rest",
        "A: Aspirin\nB: Iron\nC: Rest",
        "B. Iron\nC. Rest\nA. Aspirin",
        ["B. Iron", "(C) Rest", "A) Aspirin"],
    ],
    ids=repr,
)
def test_options_of_every_shape_are_the_same_mapping(given):
    assert options_of(given) == ABC


@pytest.mark.parametrize(
    "given",
    [
        None,
        5,
        "",
        "Aspirin, Iron, Rest",
        "A. Aspirin\nIron\nC. Rest",
        "A. Aspirin\nA. Iron",
        "A. Aspirin",
        "A. Aspirin B. Iron C. Rest",
        "A. \nB. Iron",
        {},
        [],
        ["Aspirin"],
        ["Aspirin", ""],
        ["Aspirin", 5],
        ["Aspirin", None],
        MANY,
        {"A": "Aspirin"},
        {"A": "Aspirin", "B": ""},
        {"A": "Aspirin", "B": 5},
        {"A": "Aspirin", "a": "Iron"},
        {"AB": "Aspirin", "C": "Iron"},
        {"": "Aspirin", "C": "Iron"},
        {"1": "Aspirin", "2": "Iron"},
        {"É": "Aspirin", "A": "Iron"},
    ],
    ids=lambda given: repr(given)[:40],
)
def test_what_is_no_set_of_options_is_none(given):
    assert options_of(given) == {}


def test_a_line_of_blanks_takes_no_time():
    assert options_of("A." + " " * 400_000 + "\nB. x") == {}  # a quadratic pattern would take minutes
    assert options_of("A. " + "x " * 200_000 + "\nB. y")["B"] == "y"


def test_a_list_of_short_species_names_has_no_letters_of_its_own():
    assert options_of(["E. coli", "B. cereus"]) == {"A": "E. coli", "B": "B. cereus"}


def test_there_may_be_as_many_options_as_letters():
    assert options_of(MANY[:26]) == dict(zip(ascii_uppercase, MANY, strict=False))


TRAP = {"A": "AB", "B": "A", "C": "O", "D": "B"}  # blood groups: texts that are other options' letters
COUNTS = {"A": "1", "B": "2", "C": "3", "D": "4"}


@pytest.mark.parametrize(
    ("answer_key", "answer", "options", "letter"),
    [
        ("letter", "C", ABC, "C"),
        ("letter", "c", ABC, "C"),
        ("letter", "(C)", ABC, "C"),
        ("letter", "C.", ABC, "C"),
        ("letter", "C. Rest", ABC, "C"),
        ("letter", "C) rest", ABC, "C"),
        ("letter", "(C) Rest", ABC, "C"),
        ("letter", "C: Rest", ABC, "C"),
        ("letter", "C. Iron", ABC, None),  # which of the two?
        ("letter", "D. Rest", ABC, None),
        ("letter", "D", ABC, None),
        ("letter", "Rest", ABC, None),
        ("letter", "2", ABC, None),
        ("letter", "A and B", ABC, None),
        ("letter", "AB", ABC, None),
        ("letter", "", ABC, None),
        ("letter", "A", TRAP, "A"),
        ("letter", "2", COUNTS, None),
        ("letter", "A", {}, None),
        ("text", "Rest", ABC, "C"),
        ("text", "REST", ABC, "C"),
        ("text", "C", ABC, None),
        ("text", "Water", ABC, None),
        ("text", "A", TRAP, "B"),
        ("text", "AB", TRAP, "A"),
        ("text", "B", TRAP, "D"),
        ("text", "2", COUNTS, "B"),
        ("text", "E. coli", {"A": "S. aureus", "B": "E. coli", "E": "None"}, "B"),
        ("text", "Same", {"A": "Same", "B": "same", "C": "Other"}, None),
        ("index_from_0", "0", ABC, "A"),
        ("index_from_0", "2", ABC, "C"),
        ("index_from_0", "2.0", ABC, "C"),  # as a table with gaps writes it
        ("index_from_0", "3", ABC, None),
        ("index_from_0", "-1", ABC, None),  # how some sets say that there is no answer
        ("index_from_0", "1.5", ABC, None),
        ("index_from_0", "B", ABC, None),
        ("index_from_0", "2", COUNTS, "C"),
        ("index_from_0", "1", {"D": "last", "B": "first"}, "D"),
        ("index_from_1", "1", ABC, "A"),
        ("index_from_1", "3", ABC, "C"),
        ("index_from_1", "0", ABC, None),
        ("index_from_1", "4", ABC, None),
        ("index_from_1", "2", COUNTS, "B"),
    ],
)
def test_an_answer_names_its_option_by_the_rule_of_its_set(answer_key, answer, options, letter):
    assert letter_of(answer, options, answer_key) == letter


@pytest.mark.parametrize(("answer_key", "answers"), [("index_from_0", [1, 2, 1, 3]), ("index_from_1", [0, 1, 2, 1])])
def test_indices_by_the_other_rule_are_no_answers(answer_key, answers, ask):
    rows = [{"q": f"Which, {number}?", "a": answer, "o": ABC} for number, answer in enumerate(answers)]
    other = {"index_from_0": "index_from_1", "index_from_1": "index_from_0"}[answer_key]
    with pytest.raises(UserError, match=f"^evaluation set .*: {answer_key}: its answers are indices by {other}: set"):
        ask(rows, {"options": "o"}, answer_key=answer_key)


@pytest.mark.parametrize(
    ("answer_key", "answers", "kept"),
    [
        ("letter", ["A", "B", "C", 2, "O"], "ABC"),
        ("text", ["A", "AB", "B", "D", 1], "BAD"),
        ("index_from_0", [0, 1, 3, 4, "A"], "ABD"),
        ("index_from_1", [1, 2, 4, 0, "A"], "ABD"),
    ],
)
def test_one_rule_reads_every_row_of_a_set_and_others_are_counted(answer_key, answers, kept, ask):
    rows = [{"q": f"Which, {number}?", "a": answer, "o": TRAP} for number, answer in enumerate(answers)]
    found, cleaner = ask(rows, {"options": "o"}, answer_key=answer_key)
    assert "".join(row["answer"] for row in found) == kept
    assert cleaner.dropped == {f"answer is no option by {answer_key}": 2}


@pytest.mark.parametrize(
    ("options", "answer"),
    [(ABC, "C"), ("A. Aspirin\nB. Iron\nC. Rest", "C. Rest"), (["Aspirin", "Iron", "Rest"], "c")],
)
def test_a_choice_has_its_options_and_the_letter_of_the_answer(options, answer, ask):
    (row,), cleaner = ask([{"q": "Which?", "a": answer, "o": options}], {"options": "o"})
    content = {"question": "Which?", "answer": "C", "options": ABC}
    about = {"id": records.fingerprint(content), "set": "mine", "split": row["split"], "kind": "choice"}
    assert row == {**about, **content}
    assert not cleaner.dropped


def test_fixed_options_are_those_of_every_row(ask):
    rows = [{"q": f"Does it, {answer}?", "a": answer} for answer in ("yes", "Maybe", "no")]
    kept, _ = ask(rows, options=["yes", "no", "maybe"], answer_key="text")
    assert [row["answer"] for row in kept] == ["A", "C", "B"]
    assert all(row["options"] == {"A": "yes", "B": "no", "C": "maybe"} for row in kept)


def test_the_context_comes_before_the_question(ask):
    (row,), _ = ask(
        [{"q": "Does it?", "a": "yes", "c": " The abstract. "}],
        {"context": "c"},
        options=["yes", "no"],
        answer_key="text",
    )
    assert row["question"] == "The abstract.\n\nDoes it?"
    assert "context" not in row


def test_one_question_about_two_contexts_is_two_questions(ask):
    rows = [{"q": "What is the score?", "a": str(index), "c": f"Case {index}"} for index in (1, 2, 2)]
    kept, cleaner = ask(rows, {"context": "c"}, kind="number")
    assert [row["answer"] for row in kept] == ["1", "2"]
    assert cleaner.dropped == {"duplicate question": 1}


def test_one_question_with_other_options_is_another_question(ask):
    stem = "Which of these statements is true?"
    rows = [{"q": stem, "a": "A", "o": [f"Statement {index}", f"Remark {index}"]} for index in range(4)]
    again = [{**rows[1], "o": rows[1]["o"][::-1]}, {**rows[2], "q": stem.upper(), "o": ["STATEMENT 2", "remark  2."]}]
    kept, cleaner = ask([*rows, *again], {"options": "o"})
    assert [row["options"]["A"] for row in kept] == [f"Statement {index}" for index in range(4)]
    assert cleaner.dropped == {"duplicate question": 2}


@pytest.mark.parametrize("other", ["HBsAg (+)", "HBsAg +", "HBsAg ↑", "HBsAg < 5", "HBsAg ≥ 5"])
def test_options_that_differ_in_a_sign_make_another_question(other, ask):
    rows = [{"q": "Which result?", "a": "A", "o": [one, "none"]} for one in ("HBsAg (-)", "HBsAg > 5", other)]
    kept, _ = ask(rows, {"options": "o"})
    assert len(kept) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"q": "Else?", "a": "D", "o": ABC}, "answer is no option by letter"),
        ({"q": "Else?", "a": "A", "o": "Aspirin, Iron"}, "unreadable options"),
        ({"q": "Else?", "a": "A"}, "no options"),
        ({"q": "Else?", "a": "A", "o": None}, "no options"),
        ({"q": "Else?", "a": "A", "o": ["Iron", " iron"]}, "options of the same text"),
        ({"q": "Else?", "a": "A", "o": ["Iron", "Lead\0"]}, "control characters in options"),
        ({"q": "Else?", "o": ABC}, "no answer"),
        ({"q": "Else?", "a": ["A"], "o": ABC}, "mistyped answer"),
        ({"q": " ", "a": "A", "o": ABC}, "empty question"),
        ({"q": "which ?", "a": "A", "o": ABC}, "duplicate question"),
    ],
)
def test_a_choice_that_cannot_be_asked_or_graded_is_dropped_with_its_reason(row, reason, ask):
    kept, cleaner = ask([{"q": "Which?", "a": "A", "o": ABC}, row], {"options": "o"})
    assert [one["question"] for one in kept] == ["Which?"]
    assert cleaner.dropped == {reason: 1}


@pytest.mark.parametrize("answer", ["3", " -2.5 ", "+1", "1,234", "12,345,678.9", "1e-05", 3, -0.00001, 10**15])
def test_a_number_can_be_the_answer_of_a_number_question(answer, ask):
    (row,), _ = ask([{"q": "How many?", "a": answer}], kind="number")
    assert float(row["answer"].replace(",", "")) == float(str(answer).replace(",", ""))


@pytest.mark.parametrize("answer", ["many", "3 mg", "2-3", "1,23", "3/5", "nan", "inf", "(2, 3)", "0x10", "."])
def test_a_number_question_without_a_number_is_dropped_before_it_breaks_the_grading(answer, ask):
    kept, cleaner = ask([{"q": "How many?", "a": answer}], kind="number")
    assert kept == []
    assert cleaner.dropped == {"answer is no number": 1}


def test_an_open_question_keeps_its_answer_as_it_is(ask):
    (row,), _ = ask([{"q": "Why?", "a": " Because. "}], kind="open")
    assert (row["answer"], row["kind"]) == ("Because.", "open")
    assert "options" not in row


def test_the_rows_that_are_taken_are_a_fixed_sample_whatever_their_order_and_the_rest_is_counted(ask):
    rows = [{"q": f"Number {index}?", "a": "D" if index % 2 else "A", "o": ABC} for index in range(80)]
    some, cleaner = ask(rows, {"options": "o"}, rows=5)
    assert (cleaner.seen, cleaner.dropped, cleaner.unused) == (80, {"answer is no option by letter": 40}, 30)
    assert Counter(row["split"] for row in some) == {"validation": 5, "test": 5}
    numbers = [int(row["question"][7:-1]) for row in some]
    assert numbers == sorted(numbers)
    assert max(numbers) > 40  # not the first: a file may be sorted by subject
    assert [row["question"] for row in ask(rows[::-1], {"options": "o"}, rows=5)[0]] == [
        row["question"] for row in some[::-1]
    ]
    more, _ = ask(rows, {"options": "o"}, rows=9)
    assert {row["id"] for row in some} < {row["id"] for row in more}


@pytest.fixture
def package(values, tmp_path, monkeypatch):
    """A package on the path, which must not be imported, and its evaluation set; returns the records."""
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    lines = [records.line({"q": f"Which, {index}?", "a": "B. Iron", "o": ABC}).encode() for index in range(3)]
    for name, line in zip("bac", lines, strict=True):
        (folder / f"{name}.jsonl").write_bytes(line)
    one = {"name": "mine", "source": "package", "kind": "choice", "rows": 9, "options": None, "answer_key": "letter"}
    one["columns"] = {"question": "q", "answer": "a", "options": "o", "context": None, "group": None}
    hashed = hashlib.sha256(lines[1] + lines[0] + lines[2]).hexdigest()

    def rows(**changes):
        of = {"name": "packed", "data_files": ["[ab].jsonl", "c.jsonl"], "sha256": hashed, **changes}
        checked = params.check({**values, "evaluation_sets": [{**one, "package": of}]})
        return list(evaluation_sets.rows(checked.evaluation_sets[0], 0.5, Cleaner()))

    return rows


def test_a_set_of_a_package_is_read_without_an_import(package):
    assert [row["question"] for row in package()] == ["Which, 1?", "Which, 0?", "Which, 2?"]
    assert "packed" not in sys.modules


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "absent"}, "package absent is not installed: run `make install`"),
        ({"name": "this"}, "package this is not installed"),  # a module, no folder
        ({"data_files": ["none*.jsonl"]}, "package packed has no file "),
        ({"sha256": "0" * 64}, "package packed: its data_files have SHA-256 "),
        ({"data_files": ["c.jsonl", "[ab].jsonl"]}, "package packed: its data_files have SHA-256 "),
    ],
)
def test_a_package_without_the_pinned_bytes_is_one_line(changes, said, package):
    with pytest.raises(UserError) as caught:
        package(**changes)
    assert str(caught.value).startswith(f"evaluation_sets: {said}")
    assert len(str(caught.value).splitlines()) == 1


def test_the_sets_of_the_presets_read_as_they_are_counted(committed):
    sets = params.check({**committed, "evaluation_sets": merged("h100-8b")["evaluation_sets"]}).evaluation_sets
    counts = {}
    for one in sets:
        cleaner = Cleaner()
        rows = list(evaluation_sets.rows(one.model_copy(update={"rows": 9999}), 0.5, cleaner))
        counts[one.name] = (cleaner.seen, len(rows), dict(cleaner.dropped))
    assert counts == {
        "medqa": (1273, 1273, {}),
        "medmcqa": (
            4183,
            4148,
            {"options of the same text": 21, "duplicate question": 13, "spreadsheet error in options": 1},
        ),
        "pubmedqa": (500, 500, {}),
    }


def test_a_set_of_the_hub_is_read_through_its_own_entry(values, monkeypatch):
    rows = [{"q": "Which?", "a": "B", "o": ABC}]
    seen = []
    monkeypatch.setattr("stages.data.sources.hub_dataset.rows", lambda one: seen.append(one.path) or iter(rows))
    source = {"path": "some/where", "name": None, "split": "test", "revision": "0" * 40}
    one = {"name": "theirs", "source": "hub", "kind": "choice", "rows": 5, "options": None, "hub": source}
    one["answer_key"] = "letter"
    one["columns"] = {"question": "q", "answer": "a", "options": "o", "context": None, "group": None}
    (wanted,) = params.check({**values, "evaluation_sets": [one]}).evaluation_sets
    (row,) = evaluation_sets.rows(wanted, 0.5, Cleaner())
    assert (row["set"], row["answer"], seen) == ("theirs", "B", ["some/where"])
    cleaner = Cleaner()
    rows = [{"q": f"Which, {index}?", "a": "B", "o": ABC} for index in range(50)]
    found = Counter(row["split"] for row in evaluation_sets.rows(wanted, 0.5, cleaner))
    assert found == {"validation": 5, "test": 5}
    assert 10 <= cleaner.seen < 25  # the Hub is read no further than needed
    assert cleaner.unused == 0


def sets(values, **changes):
    one = {"name": "mine", "source": "files", "kind": "choice", "rows": 9, "options": None, "data_files": ["set.jsonl"]}
    one["answer_key"] = "letter"
    one["columns"] = {"question": "q", "answer": "a", "options": "o", "context": None, "group": None}
    values["dataset"] |= {"train_rows": 20, "eval_rows": 5}
    return params.check({**values, "evaluation_sets": [{**one, **changes}]})


def test_the_stage_asks_held_out_rows_and_then_each_set(ask, values):
    ask([{"q": f"Number {index}?", "a": "B", "o": ABC} for index in range(10)], {"options": "o"})
    fetch_dataset.main(sets(values))
    assert Counter(row["set"] for row in written()) == {"train": 20, "heldout": 10, "mine": 10}
    metrics = json.loads(fetch_dataset.SUMMARY.read_text())
    mine = Counter(row["split"] for row in written("mine"))
    assert metrics["kept"] == {"train": 20, "heldout": {"validation": 5, "test": 5}, "mine": mine}
    assert metrics["dropped"]["mine"] == {}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"options": "choices"}, "no column choices: it has a, o, q"),
        ({"context": "abstract"}, "no column abstract: it has a, o, q"),
        (
            {"question": "a", "answer": "q"},
            "evaluation set mine: no usable row among 10 (answer is no option by letter 10)",
        ),
    ],
)
def test_a_set_that_does_not_fit_its_columns_stops_before_anything_is_written(columns, said, ask, values, tmp_path):
    ask([{"q": f"Number {index}?", "a": "B", "o": ABC} for index in range(10)], {"options": "o"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        fetch_dataset.main(
            sets(
                values,
                columns={"question": "q", "answer": "a", "options": "o", "context": None, "group": None, **columns},
            )
        )
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("kind", "answer_key"), [("choice", None), ("open", "text"), ("number", "letter")])
def test_a_set_says_what_its_answers_are_where_it_has_options_and_only_there(kind, answer_key, ask):
    options = ["yes", "no"] if kind == "choice" else None
    with pytest.raises(
        UserError, match=r"evaluation_sets\[0\]: a set of kind choice must say by `answer_key`"
    ) as caught:
        ask([], kind=kind, answer_key=answer_key, options=options)
    assert len(str(caught.value).splitlines()) == 1


def test_a_group_is_kept_and_a_question_without_one_is_dropped(ask):
    raw = [{"q": f"Which, {i}?", "a": "3", "case": case} for i, case in enumerate(("one", 2, None))]
    rows, cleaner = ask(raw, {"group": "case"}, kind="number")
    assert [row["group"] for row in rows] == ["one", "2"]
    assert cleaner.dropped == {"no group": 1}
