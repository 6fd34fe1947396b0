"""Rows are cleaned and counted; a question is held out or not by its own words; all formats give the same records."""

import csv
import inspect
import json
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import fetch_dataset, params
from stages.data import control, dataset
from stages.data.dataset import BUILTIN_COLUMNS, Cleaner
from stages.data.sources import builtin, hub_dataset
from stages.files import records
from stages.files.errors import UserError
from tests.conftest import ROOT

ROW = {"question": "What is it?", "reasoning": "First this.", "response": "That."}
OPEN = {name: name for name in ROW}
FULL = {**ROW, "answer": "3", "topic": "Facts"}
ROWS = [{**FULL, "question": f"What is number {index}?", "answer": str(index)} for index in range(300)]
BOTH = {"validation": 50, "test": 50}
OUTPUTS = [value for value in vars(fetch_dataset).values() if isinstance(value, Path)]


@pytest.fixture
def of_rows(values, monkeypatch):
    """Split given rows with given params; returns the records and the cleaner."""

    def split(rows, **changes):
        plenty = {"train_rows": 1000, "eval_rows": 1000}
        wanted = params.check({**values, "dataset": {**values["dataset"], **plenty, **changes}}).dataset
        monkeypatch.setattr(dataset, "source", lambda _: (iter(rows), BUILTIN_COLUMNS, "number"))
        cleaner = Cleaner()
        return list(dataset.split(wanted, 0.5, cleaner)), cleaner

    return split


def written(*sets):
    """The rows in data/raw but free questions, or those of the given sets, in the order of the files' names."""
    rows = [row for path in sorted(Path("data/raw").glob("*.jsonl")) for row in records.read(path)]
    return [row for row in rows if (row["set"] in sets if sets else row["set"] != "free")]


def side(row):
    return row.get("split", row["set"])


def sides(rows):
    return {row["question"]: side(row) for row in rows}


# --- cleaning ---------------------------------------------------------------------------------------------------------


def test_a_clean_row_has_our_names_and_is_stripped():
    row = {"question": " What? \n", "reasoning": "\tThis.", "response": "That. ", "else": 1}
    assert Cleaner().clean(row, OPEN) == {"question": "What?", "reasoning": "This.", "response": "That."}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": ""}, "empty question"),
        ({"reasoning": " \n\t"}, "empty reasoning"),
        ({"response": "\u00a0\u2003"}, "empty response"),
        ({"question": None}, "no question"),
        ({"response": None}, "no response"),
        ({"response": float("nan")}, "no response"),
        ({"answer": float("nan")}, "no answer"),
        ({"question": 5}, "mistyped question"),
        ({"reasoning": ["a"]}, "mistyped reasoning"),
        ({"answer": True}, "mistyped answer"),
        ({"answer": {"a": 1}}, "mistyped answer"),
        ({"answer": ""}, "empty answer"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted_by_reason(change, reason):
    cleaner = Cleaner()
    assert cleaner.clean({**FULL, **change}, BUILTIN_COLUMNS) is None
    assert (cleaner.seen, cleaner.dropped) == (1, {reason: 1})


@pytest.mark.parametrize("column", OPEN)
def test_a_row_without_a_column_is_counted(column):
    cleaner = Cleaner()
    row = {key: value for key, value in ROW.items() if key != column}
    assert cleaner.clean(row, OPEN) is None
    assert sum(cleaner.dropped.values()) == 1


@pytest.mark.parametrize(("given", "kept"), [(3, "3"), (2.5, "2.5"), (-1, "-1"), (" 3 ", "3")])
def test_a_number_may_be_an_answer(given, kept):
    assert Cleaner().clean({**FULL, "answer": given}, BUILTIN_COLUMNS)["answer"] == kept


SAME = [
    "WHAT is it",
    "Wh\u0430t is it",
    "W\u00adhat\u200b is it",
    "What  is\nit ?",
    "«What is it…»",
    "Whát is it?",
    "what is it？",
    "ＷＨＡＴ ＩＳ ＩＴ",
]


@pytest.mark.parametrize("question", ["What is it?", *SAME])
def test_a_question_written_differently_is_the_same_question(question):
    cleaner = Cleaner()
    assert cleaner.clean(ROW, OPEN)
    assert cleaner.clean({**ROW, "question": question, "response": "Other."}, OPEN) is None
    assert cleaner.dropped == {"duplicate question": 1}


@pytest.mark.parametrize(
    "question", ["What is it now?", "What isit?", "it is What?", "What is it 2?", "什么?", "какой?"]
)
def test_a_question_of_other_words_is_another_question(question):
    cleaner = Cleaner()
    assert cleaner.clean(ROW, OPEN)
    assert cleaner.clean({**ROW, "question": question}, OPEN)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("कि", "की", False),
        ("ไข้", "ไข", False),
        ("ガン", "カン", False),
        ("Réponse", "reponse", True),
        ("حُمَّى", "حمى", True),
    ],
)
def test_a_mark_that_makes_another_word_is_kept_and_an_accent_is_not(one, other, equal):
    assert (dataset.normalise(one) == dataset.normalise(other)) == equal


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_normalised_question_is_its_own_normal_form(text):
    once = dataset.normalise(text)
    assert dataset.normalise(once) == once
    assert dataset.normalise(f"  {text.upper().lower()} ?") == dataset.normalise(text.upper().lower())


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.19, False), (0.2, True), (1.0, True)])
def test_more_than_the_allowed_share_of_dropped_rows_stops(share, passes):
    cleaner = Cleaner()
    for row in [*ROWS[:8], ROW, ROW]:
        cleaner.clean(row, OPEN)
    cleaner.drop("answer is no option")
    cleaner.seen = 10
    if passes:
        cleaner.check("mine", share)
    else:
        with pytest.raises(UserError) as caught:
            cleaner.check("mine", share)
        said = str(caught.value)
        assert said.startswith("mine: 2 of 10 rows dropped (answer is no option 1, duplicate question 1)")
        assert f"dataset.max_dropped_share {share}" in said


def test_no_usable_row_stops_whatever_the_share():
    cleaner = Cleaner()
    with pytest.raises(UserError, match="mine: no usable row among 0"):
        cleaner.check("mine", 1.0)
    cleaner.clean({}, OPEN)
    with pytest.raises(UserError, match=r"mine: no usable row among 1 \(no question 1\)"):
        cleaner.check("mine", 1.0)


def sources_of_errors():
    """Every file of the room but the one that words the errors."""
    return sorted(path for path in (ROOT / "stages/data").rglob("*.py") if path.name != "data_errors.py")


# --- the split --------------------------------------------------------------------------------------------------------


def test_the_split_is_the_same_every_time(of_rows):
    assert of_rows(ROWS)[0] == of_rows(ROWS)[0]


def test_more_rows_and_another_order_move_no_question_across(of_rows):
    before = sides(of_rows(ROWS)[0])
    assert set(before.values()) == {"train", "validation", "test"}
    more = [{**FULL, "question": f"Something new, {index}?", "answer": "1"} for index in range(100)]
    for seed in range(3):
        mixed = random.Random(seed).sample([*ROWS, *more], 400)
        after = sides(of_rows(mixed)[0])
        assert len(after) == 400
        assert before.items() <= after.items()


def test_a_question_written_differently_is_on_the_same_side(of_rows):
    before = sides(of_rows(ROWS)[0])
    after = sides(of_rows([{**row, "question": row["question"].upper() + "!"} for row in ROWS])[0])
    assert {dataset.normalise(question): side for question, side in before.items()} == {
        dataset.normalise(question): side for question, side in after.items()
    }


def test_no_question_is_on_both_sides_or_twice_on_one(of_rows):
    dressed = [{**row, "question": f"  {row['question'].upper()}!", "response": "Other."} for row in ROWS]
    kept, cleaner = of_rows([*ROWS, *dressed, *ROWS])
    assert len(kept) == len({dataset.normalise(row["question"]) for row in kept}) == len(ROWS)
    assert cleaner.dropped == {"duplicate question": 2 * len(ROWS)}


def test_a_larger_share_only_adds_to_those_held_out(of_rows):
    held = [
        {(row["question"], row["split"]) for row in of_rows(ROWS, eval_share=share)[0] if row["set"] == "heldout"}
        for share in (0.05, 0.2, 0.5, 0.9)
    ]
    assert held[0] < held[1] < held[2] < held[3]  # none changes its split: a question that chose tests nothing
    assert held[3] <= {(row["question"], dataset.split_of(row["question"], 0.5)) for row in ROWS}  # as sets split it
    for share, questions in zip((0.05, 0.2, 0.5, 0.9), held, strict=True):
        assert abs(len(questions) / len(ROWS) - share) < 0.1


def test_a_larger_test_share_only_moves_questions_from_validation_to_test(of_rows):
    held = [row for row in of_rows(ROWS, eval_share=0.5)[0] if row["set"] == "heldout"]
    tests = []
    for share in (0.1, 0.5, 0.9):
        tests.append({row["id"] for row in held if dataset.split_of(row["question"], share, 0.5) == "test"})
        assert abs(len(tests[-1]) / len(held) - share) < 0.1
    assert tests[0] < tests[1] < tests[2]
    assert tests[1] == {row["id"] for row in held if row["split"] == "test"}


def test_each_set_gets_at_most_what_params_ask_for_and_the_first_of_them(of_rows):
    everything = of_rows(ROWS)[0]
    kept, _ = of_rows(ROWS, train_rows=50, eval_rows=7)
    wanted = {"train": 50, "validation": 7, "test": 7}
    assert Counter(map(side, kept)) == wanted
    for name, count in wanted.items():
        first = [row for row in everything if side(row) == name][:count]
        assert [row for row in kept if side(row) == name] == first


@pytest.mark.parametrize("source", ["builtin", "hub"])
def test_a_source_without_end_and_the_hub_are_read_no_further_than_needed(source, values, monkeypatch):
    theirs = ({**row, **dict(zip(dataset.HUB_COLUMNS.values(), row.values(), strict=False))} for row in ROWS)
    monkeypatch.setattr(hub_dataset, "rows", lambda _: theirs)
    changes = {"source": source, "train_rows": 20, "eval_rows": 5}
    wanted = params.check({**values, "dataset": {**values["dataset"], **changes}}).dataset
    cleaner = Cleaner()
    assert Counter(map(side, dataset.split(wanted, 0.5, cleaner))) == {"train": 20, "validation": 5, "test": 5}
    assert cleaner.seen < 200
    assert cleaner.unused == 0


def test_files_are_read_to_their_end_and_rows_that_no_set_takes_are_counted(own, tmp_path):
    rows = [{**NASTY[0], "q": f"What is number {index}?"} for index in range(50)]
    as_jsonl(tmp_path / "data/input/rows.jsonl", [*rows, rows[0], {}])
    cleaner = Cleaner()
    kept = Counter(map(side, dataset.split(own("rows.jsonl", train_rows=24, eval_rows=5).dataset, 0.5, cleaner)))
    assert kept == {"train": 24, "validation": 5, "test": 5}
    assert (cleaner.seen, cleaner.dropped.total(), cleaner.unused) == (52, 2, 16)


def test_an_id_is_of_the_content_alone(of_rows):
    ids = {row["question"]: row["id"] for row in of_rows(ROWS)[0]}
    assert len(set(ids.values())) == len(ROWS)
    assert {row["question"]: row["id"] for row in of_rows(ROWS[::-1], eval_share=0.5)[0]} == ids
    other = of_rows([{**ROWS[0], "response": "Other."}])[0][0]
    assert other["id"] != ids[other["question"]]


def test_rows_of_the_built_in_source_depend_on_the_seed_alone():
    assert list(islice(builtin.rows(42), 40)) == list(islice(builtin.rows(42), 40))
    assert list(islice(builtin.rows(42), 40)) != list(islice(builtin.rows(43), 40))
    assert all(row.keys() == set(BUILTIN_COLUMNS.values()) for row in islice(builtin.rows(42), 40))


# --- files ------------------------------------------------------------------------------------------------------------

NASTY = [
    {"q": 'She said "no", twice.', "think": "a,b;c\td", "say": "line one\nline two", "short": "3"},
    {"q": "Über ≥ 65 Jahre?", "think": "a\r\nb", "say": "“quoted” 😀", "short": "-1"},
    {"q": "one\u2028two\u2029three\x85four", "think": "'", "say": '""', "short": "2.5"},
    {"q": "=1+1", "think": "\\n is no line break", "say": "null", "short": "NaN"},
    {"q": "  {braces} %s $x  ", "think": "<|im_end|>", "say": "#no comment", "short": "007"},
]


def as_jsonl(path, rows):
    path.write_bytes("".join(records.line(row) for row in rows).encode())


def as_jsonl_of_windows(path, rows):
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(json.dumps(row) for row in rows).encode() + b"\r\n\r\n")


def as_json(path, rows):
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8-sig")


def as_csv(path, rows, **dialect):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0])[::-1], **dialect)
        writer.writeheader()
        writer.writerows(rows)


def as_csv_of_excel(path, rows):
    as_csv(path, rows, quoting=csv.QUOTE_ALL)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def as_parquet(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS = [
    ("rows.jsonl", as_jsonl),
    ("rows.jsonl", as_jsonl_of_windows),
    ("rows.json", as_json),
    ("rows.csv", as_csv),
    ("rows.csv", as_csv_of_excel),
    ("rows.parquet", as_parquet),
]


@pytest.fixture
def own(values, tmp_path, monkeypatch):
    """A repository root with data/input, and params that read files there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/input").mkdir(parents=True)
    columns = {"question": "q", "reasoning": "think", "response": "say", "answer": "short", "group": None}
    values["dataset"] |= {"source": "files", "files": {"data_files": ["rows.jsonl"], "columns": columns}}
    values["dataset"] |= {"train_rows": 200, "eval_rows": 50, "eval_share": 0.3}

    def of(*names, **changes):
        values["dataset"]["files"]["data_files"] = list(names)
        return params.check({**values, "dataset": {**values["dataset"], **changes}})

    return of


@pytest.mark.parametrize(("name", "writer"), WRITERS, ids=lambda one: getattr(one, "__name__", ""))
def test_every_format_gives_the_same_records(name, writer, own, tmp_path):
    writer(tmp_path / "data/input" / name, NASTY)
    cleaner = Cleaner()
    rows = list(dataset.split(own(name).dataset, 0.5, cleaner))
    ours = {"question": "q", "reasoning": "think", "response": "say", "answer": "short"}
    assert [{key: row[key] for key in ours} for row in rows] == [
        {key: row[theirs].strip() for key, theirs in ours.items()} for row in NASTY
    ]
    assert [row["id"] for row in rows] == [
        records.fingerprint({key: row[theirs].strip() for key, theirs in ours.items()}) for row in NASTY
    ]
    assert {row["kind"] for row in rows} == {"open"}
    assert not cleaner.dropped


def test_files_are_read_one_after_the_other(own, tmp_path):
    for (name, writer), row in zip([WRITERS[0], WRITERS[2], WRITERS[3]], NASTY, strict=False):
        writer(tmp_path / "data/input" / name, [row])
    wanted = own("rows.csv", "rows.jsonl", "rows.json").dataset
    rows = list(dataset.split(wanted, 0.5, Cleaner()))
    assert [row["question"] for row in rows] == [NASTY[index]["q"].strip() for index in (2, 0, 1)]


def test_a_column_that_params_set_to_null_is_not_looked_for(own, tmp_path, values):
    as_csv(tmp_path / "data/input/rows.csv", [{"q": "What?", "think": "This.", "say": "That."}])
    values["dataset"]["files"]["columns"]["answer"] = None
    (row,) = dataset.split(own("rows.csv").dataset, 0.5, Cleaner())
    assert "answer" not in row


@pytest.mark.parametrize("name", [lambda patient: patient, lambda patient: f"Patient {patient}"])
def test_the_rows_of_a_group_are_held_out_together(name, own, tmp_path, values):
    rows = [
        {"q": f"What of {patient}, visit {visit}?", "think": "This.", "say": "That.", "patient": name(patient)}
        for visit in range(5)
        for patient in range(40)
    ]
    as_jsonl(tmp_path / "data/input/rows.jsonl", rows)
    values["dataset"]["files"]["columns"] |= {"answer": None, "group": "patient"}
    split = list(dataset.split(own("rows.jsonl").dataset, 0.5, Cleaner()))
    patients = {kind: {row["group"] for row in split if row["set"] == kind} for kind in ("train", "heldout")}
    assert not patients["train"] & patients["heldout"]
    assert patients["train"] | patients["heldout"] == {str(name(patient)) for patient in range(40)}
    assert 5 <= len(patients["heldout"]) <= 20
    values["dataset"]["files"]["columns"]["group"] = None
    alone = list(dataset.split(own("rows.jsonl").dataset, 0.5, Cleaner()))
    assert all("group" not in row for row in alone)
    assert [row["question"] for row in alone if row["set"] == "heldout"] != [
        row["question"] for row in split if row["set"] == "heldout"
    ]


def test_a_row_without_its_group_is_dropped_and_counted(own, tmp_path, values):
    row = {"q": "What?", "think": "This.", "say": "That.", "a": "that"}
    given = [{**row, "p": None}, {**row, "p": " "}, {**row, "p": 7.0, "a": "one\n two"}]
    as_jsonl(tmp_path / "data/input/rows.jsonl", given)
    values["dataset"]["files"]["columns"] |= {"answer": "a", "group": "p"}
    cleaner = Cleaner()
    found = [(one["group"], one["answer"]) for one in dataset.split(own("rows.jsonl").dataset, 0.5, cleaner)]
    assert found == [("7", "one two")]
    assert cleaner.dropped == {"no group": 1, "empty group": 1}


HEAD, GOOD = b"q,think,say,short\n", b'{"q": "Q?", "think": "t", "say": "s", "short": "1"}\n'
MANY = b"".join(GOOD.replace(b"Q?", b"Is it %d?" % index) for index in range(300))  # more than params ask for


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", None, "data/input/rows.jsonl: no such file"),
        ("rows.jsonl", b"", "no usable row among 0"),
        ("rows.json", b"", "rows.json: no JSON"),
        ("rows.csv", b"", "no usable row among 0"),
        ("rows.csv", HEAD, "no usable row among 0"),
        ("rows.parquet", b"", "rows.parquet: not valid Parquet"),
        ("rows.jsonl", GOOD + b'{"q": \n' + GOOD, "rows.jsonl, line 2: no JSON"),
        ("rows.jsonl", GOOD + b"\n\n" + GOOD[:-3] + b"\n", "rows.jsonl, line 4: no JSON"),
        ("rows.jsonl", GOOD + b'{"q": "\\ud800"}\n', "rows.jsonl, line 2: no JSON"),
        ("rows.jsonl", b'{"q": ' + b"9" * 5000 + b"}\n", "rows.jsonl, line 1: no JSON"),
        ("rows.jsonl", b'{"q": ' + b"[" * 100_000 + b"\n", "rows.jsonl, line 1: no JSON"),
        ("rows.jsonl", b'["q", "think"]\n', "rows.jsonl, row 1: list, not an object"),
        ("rows.json", b'{"q": "Q?"}', "rows.json: holds dict, not a list of rows"),
        ("rows.json", b'[{"q": "Q?"}, 5]', "rows.json, row 2: int, not an object"),
        ("rows.jsonl", GOOD * 3 + b'{"q": "caf\xe9"}\n', "rows.jsonl, line 4: not UTF-8"),
        ("rows.json", b'[\n{"q": "caf\xe9"}]', "rows.json, line 2: not UTF-8"),
        ("rows.csv", HEAD + b"caf\xe9,t,s,1\n", "rows.csv, line 2: not UTF-8"),
        ("rows.csv", (HEAD + b"Q?,t,s,1\n").decode().encode("utf-16"), "rows.csv, line 1: not UTF-8"),
        ("rows.csv", HEAD + b"Q?,t,s,1\nWell, this?,t,s,1\n", "rows.csv, line 3: more cells than columns"),
        ("rows.csv", HEAD + b'"Q?,t,s,1\nR?,t,s,1\n', "rows.csv, row from line 2: not valid CSV"),
        ("rows.csv", b"q,think,say\nQ?,t,s\n", "rows.csv: no column short: it has q, say, think"),
        ("rows.csv", b"Q;think;say;short\nQ?;t;s;1\n", "rows.csv: no column q, think, say, short: it has Q;think"),
        ("rows.jsonl", b'{"question": "Q?"}\n', "rows.jsonl: no column q, think, say, short: it has question"),
        ("rows.parquet", b"PAR1 no table PAR1", "rows.parquet: not valid Parquet"),
        ("rows.jsonl", MANY + GOOD[:-9], "rows.jsonl, line 301: no JSON"),
        (
            "rows.csv",
            HEAD + b"".join(b"Is it %d?,t,s,1\n" % n for n in range(300)) + b'"',
            "row from line 302: not valid",
        ),
        ("rows.jsonl", GOOD * 5, "4 of 5 rows dropped (duplicate question 4)"),
        ("rows.jsonl", GOOD, "dataset: no held-out row"),
    ],
)
def test_a_bad_file_is_one_clear_line_and_changes_nothing(name, content, said, own, tmp_path):
    wanted = own(name)
    if content is not None:
        (tmp_path / "data/input" / name).write_bytes(content)
    for path in OUTPUTS:
        records.write_text(path, "of the last run\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as caught:
        fetch_dataset.main(wanted)
    assert len(str(caught.value).splitlines()) == 1
    assert said in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# --- the hub ----------------------------------------------------------------------------------------------------------


class FakeDataset(list):
    """What load_dataset returns, as far as it is used."""

    def __init__(self, rows, checksums=None):
        super().__init__(rows)
        self.info = type("Info", (), {"download_checksums": checksums})()


@pytest.fixture
def load_dataset(monkeypatch, values):
    """Let `datasets.load_dataset` return or raise what is given; returns the pinned commit and the calls."""
    import datasets

    signature = inspect.signature(datasets.load_dataset)
    calls = []

    def give(result):
        def fake(*args, **kwargs):
            calls.append(signature.bind(*args, **kwargs).arguments)
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr("datasets.load_dataset", fake)

    give.calls = calls
    give.hub = params.check(values).dataset.hub
    return give


def test_the_hub_is_asked_for_the_pinned_commit_and_rows_keep_their_order(load_dataset):
    load_dataset(FakeDataset(ROWS))
    assert list(hub_dataset.rows(load_dataset.hub)) == ROWS
    (call,) = load_dataset.calls
    one = load_dataset.hub
    assert (call["path"], call["name"], call["split"], call["revision"]) == (
        one.path,
        one.name,
        one.split,
        one.revision,
    )
    assert "trust_remote_code" not in call.get("config_kwargs", {})


def test_a_cache_of_the_pinned_commit_is_used(load_dataset):
    source = f"hf://datasets/{load_dataset.hub.path}@{load_dataset.hub.revision}/rows.json"
    load_dataset(FakeDataset(ROWS, {source: {"num_bytes": 1}}))
    assert len(list(hub_dataset.rows(load_dataset.hub))) == len(ROWS)


def test_a_cache_of_another_commit_is_refused(load_dataset):
    load_dataset(FakeDataset(ROWS, {f"hf://datasets/a/b@{'0' * 40}/rows.json": {}}))
    with pytest.raises(UserError, match="another commit") as caught:
        next(hub_dataset.rows(load_dataset.hub))
    assert load_dataset.hub.path in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "error", [ConnectionError("no\nnetwork"), ValueError("unknown split"), RuntimeError("x" * 9999)]
)
def test_a_dataset_that_cannot_be_had_is_one_short_line(error, load_dataset):
    load_dataset(error)
    with pytest.raises(UserError) as caught:
        next(hub_dataset.rows(load_dataset.hub))
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 600
    assert " ".join(str(error).split())[:50] in said
    assert load_dataset.hub.path in said
    assert "HF_TOKEN" in said


def test_a_snapshot_that_was_copied_here_is_read_where_the_hub_cannot_be_asked(tmp_path, values, monkeypatch, capsys):
    """As a folder that `hf download` made on another machine: without its list of files (their issue 4487)."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "tables")  # not those of an earlier run
    hub = params.check(values).dataset.hub
    folder = tmp_path / f"datasets--{hub.path.replace('/', '--')}" / "snapshots" / hub.revision
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {hub.name}\n  data_files: rows.json\n---\n")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    assert list(hub_dataset.rows(hub)) == ROWS
    assert f"not from the hub, which cannot be asked: {folder} is read" in capsys.readouterr().out
    (folder / "rows.json").rename(folder / "rows-00000-of-00002.json")  # half of it: the other was not copied
    (folder / "README.md").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        next(hub_dataset.rows(hub))


def test_an_interruption_while_loading_is_no_user_error(load_dataset):
    load_dataset(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        next(hub_dataset.rows(load_dataset.hub))


def test_the_hub_dataset_goes_through_the_whole_stage(load_dataset, own, tmp_path):
    theirs = [{dataset.HUB_COLUMNS[ours]: row[ours] for ours in OPEN} for row in ROWS]
    load_dataset(FakeDataset(theirs))
    fetch_dataset.main(own("rows.jsonl", source="hub"))
    rows = written()
    assert len(rows) > 200
    assert {row["question"] for row in rows} <= {row["question"] for row in ROWS}
    assert all(row["reasoning"] == "First this." and row["response"] == "That." for row in rows)


# --- the stage --------------------------------------------------------------------------------------------------------


def test_the_stage_writes_train_eval_and_counts(own, tmp_path):
    summary = fetch_dataset.main(own("rows.jsonl", source="builtin"))
    splits = Counter(row["split"] for row in written("heldout"))
    train, asked = written("train"), written("heldout")
    metrics = json.loads(fetch_dataset.SUMMARY.read_text())
    leaked = sum(sum(reasons.values()) for reasons in metrics["leaks"].values())
    assert leaked <= 4
    assert (len(train), len(asked), len(written())) == (200 - leaked, 100, 300 - leaked)
    for row in [*train, *asked]:
        of = {"split"} if row["set"] == "heldout" else set()
        assert row.keys() == {"id", "set", "kind", "question", "reasoning", "response", "answer", "topic", *of}
    assert metrics["source"] == "builtin"
    assert metrics["kept"] == {"train": 200 - leaked, "heldout": splits} == {"train": 200 - leaked, "heldout": BOTH}
    assert summary.startswith(f"train {200 - leaked}; validation + test: heldout 50 + 50; dropped ")
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files <= set(OUTPUTS)


def test_the_control_learns_each_completion_with_another_question_of_its_score(own):
    fetch_dataset.main(own("rows.jsonl", source="builtin"))
    before, asked = {row["question"]: row for row in written("train")}, written("heldout")
    assert json.loads(fetch_dataset.SUMMARY.read_text())["swapped"] == 0
    said = fetch_dataset.main(own("rows.jsonl", source="builtin", swap_completions=True))
    rows = written("train")
    assert [row["question"] for row in rows] == list(before)
    assert written("heldout") == asked
    assert said.startswith(f"train {len(before)} with swapped completions; ")
    assert json.loads(fetch_dataset.SUMMARY.read_text())["swapped"] == len(before)

    def completions(rows):
        return [(row["topic"], row["reasoning"], row["response"], row["answer"]) for row in rows]

    assert sorted(completions(rows)) == sorted(completions(before.values()))
    assert not [row for row in rows if row["reasoning"] == before[row["question"]]["reasoning"]]
    assert sum(row["answer"] == before[row["question"]]["answer"] for row in rows) < len(rows) / 2


def test_a_swap_depends_on_contents_alone_and_leaves_out_who_has_no_other():
    rows = [{"id": one, "kind": "open", "reasoning": f"r{one}", "response": "s"} for one in "gaczb"]
    rows += [{"id": "y", "kind": "open", "topic": "alone", "reasoning": "r9", "response": "s"}]
    found = {row["id"]: row["reasoning"] for row in control.swapped(rows)}
    assert found == {row["id"]: row["reasoning"] for row in control.swapped(rows[::-1])}
    given = {row["id"]: row["reasoning"] for row in rows[:5]}
    assert found.keys() == given.keys()
    assert sorted(found.values()) == sorted(given.values())
    assert all(found[one] != given[one] for one in found)


def test_a_control_without_two_rows_of_a_topic_is_one_line(own):
    with pytest.raises(UserError, match=r"^dataset\.swap_completions: no two training rows of one topic"):
        fetch_dataset.main(own("rows.jsonl", source="builtin", swap_completions=True, train_rows=1))


def test_a_rerun_gives_the_same_bytes(own):
    fetch_dataset.main(own("rows.jsonl", source="builtin"))
    before = {path: path.read_bytes() for path in OUTPUTS if path.exists()}
    fetch_dataset.main(own("rows.jsonl", source="builtin"))
    assert len(before) >= 3
    assert {path: path.read_bytes() for path in before} == before


def test_a_few_bad_rows_are_left_out_and_counted(own, tmp_path):
    bad = [{"q": "", "think": "t", "say": "s", "short": "1"}, {"q": "Only a question?"}, *NASTY[:1]]
    good = [*NASTY, *({**NASTY[0], "q": f"Number {index}?"} for index in range(20))]
    as_jsonl(tmp_path / "data/input/rows.jsonl", [*good, *bad])
    fetch_dataset.main(own("rows.jsonl", max_dropped_share=0.5))
    metrics = json.loads(fetch_dataset.SUMMARY.read_text())
    assert metrics["dropped"] == {"dataset": {"empty question": 1, "no reasoning": 1, "duplicate question": 1}}
    kept = metrics["kept"]
    leaked = sum(metrics["leaks"]["heldout"].values())
    assert kept["train"] + leaked + sum(kept["heldout"].values()) == len(good)
