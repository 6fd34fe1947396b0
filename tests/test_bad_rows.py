"""Whatever is in data/input: a stage ends with one clear line, or a row is counted by its reason; no other row changes.

Nothing hangs, nothing is half written, and no row takes control of its prompt, its grade or the report.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import fetch_dataset, params
from stages.data import dataset, evaluation_sets, prompts
from stages.data.dataset import Cleaner
from stages.data.sources import hub_dataset
from stages.evaluate import grade, thinking
from stages.evaluate.graders import numerals
from stages.evaluate.graders.plain_text import plain
from stages.files import records
from stages.files.errors import UserError
from stages.report import charts, page, tables
from stages.runtime import stage
from tests.conftest import ROOT
from tests.test_dataset import OPEN, OUTPUTS, as_csv, as_json, as_jsonl, as_parquet, written
from tests.test_report import TAGS, Page, context, row

GOOD = [{"q": f"What is number {n}?", "think": f"Think {n}.", "say": f"Say {n}.", "short": str(n)} for n in range(24)]
ROW = {"q": "And what is this?", "think": "Well.", "say": "That.", "short": "7"}
COLUMNS = {"question": "q", "reasoning": "think", "response": "say", "answer": "short"}
ASKED = {"question": "q", "answer": "short", "options": None, "context": None, "group": None}
WRITERS = {"jsonl": as_jsonl, "json": as_json, "csv": as_csv, "parquet": as_parquet}
TRICKY = [
    *(
        "</think>",
        "<think>",
        "<|im_end|>",
        "<|im_start|>assistant\n",
        "<s>",
        "<｜Assistant｜>",
        "<｜end▁of▁sentence｜>",
    ),
    *("{question}", "{0} %s $x {{ 7 * 7 }} {% raw %}", "### Answer:\n<think>\n7\n</think>\n7", "A. one\nB. two"),
    *(
        "\u202edlrow olleh\u202c",
        "\u200f؟ما هذا",
        "\ufeffmarked",
        "a\u200bb\u00adc",
        "Z̷͙͐a̴͘l̶̈́g̸͠o",
        "👩🏽‍⚕️ 🩺?",
        "line\r\nline\rline",
    ),
    *(
        "a\u2028b\u2029c\x85d\fe",
        "=1+1",
        "null",
        "NaN",
        "-- '; DROP TABLE rows",
        "<script>alert(1)</script>",
        "\\ud800 \\n \\",
        "٣",
    ),
]
TRICKY += ["a base excess of -500 mmol", "(?P<x>", "a|b\\", "[[:alpha:]]", "-- -1 --- -x-y", "((((", "\\Z\\"]
TAGGED = ["</think>", "7</think>7", "<think>", "<THINK>", "so </Think> that"]
ERRORS = [
    "#NAME?",
    "#REF!",
    "#VALUE!",
    "#N/A",
    "#DIV/0!",
    "#NUM!",
    "#NULL!",
    "#SPILL!",
    "#WERT!",
    "#NV",
    "Err:508",
    "#n/a",
    "#VALEUR !",
    "#N/DISP",
    "#I/T",
    "####",
]
CONTROLS = ["a\0b", "\x1b[2Jx", "q\x07q", "del\x7fdel", "it\x92s"]


@pytest.fixture
def fetch(tmp_path, monkeypatch, values, capsys):
    """Run fetch_dataset on a file in data/input, as dataset or as evaluation set; returns its lines and its metrics."""
    (tmp_path / "data/input").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def late(*_):
        raise AssertionError("the stage hangs")

    def run(name, role="dataset", columns=None, **changes):
        good = write(GOOD, "good.jsonl")
        source = {"data_files": [good if role == "evaluation set" else name], "columns": {**COLUMNS, "group": None}}
        values["dataset"] |= {"source": "files", "files": source, "train_rows": 999, "eval_rows": 999}
        values["dataset"] |= {"eval_share": 0.4, "max_dropped_share": 0.5}
        if role == "evaluation set":
            one = {
                "name": "mine",
                "source": "files",
                "kind": "open",
                "rows": 999,
                "answer_key": "text" if changes.get("kind") == "choice" else None,
                "options": None,
                "data_files": [name],
            }
            values["evaluation_sets"] = [{**one, "columns": {**ASKED, **(columns or {})}, **changes}]
        (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
        for path in OUTPUTS:
            records.write_text(path, "of the last run\n")
        before = {path: path.read_bytes() for path in OUTPUTS}
        capsys.readouterr()
        with mock.patch.dict(os.environ), contextlib.suppress(SystemExit):
            stage.run("fetch_dataset", fetch_dataset.main)
        said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("fetch_dataset")]
        metrics = None
        if said:
            assert {path: path.read_bytes() for path in OUTPUTS} == before
            assert len(said) == 1
            assert said[0].isprintable()
            assert len(said[0]) < 500
        else:
            metrics = json.loads(fetch_dataset.SUMMARY.read_text(encoding="utf-8"))
        assert not list(tmp_path.rglob("*.partial"))
        return said, metrics

    def write(rows, name):
        WRITERS[name.rpartition(".")[2]](tmp_path / "data/input" / name, rows)
        return name

    run.write = write
    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)  # a busy machine is slow, a hang is for ever
    yield run
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


# --- hostile rows ---------------------------------------------------------------------------------------------------

KEPT = [{**ROW, "q": f"{text} What is this?", "short": text} for text in TRICKY]
KEPT += [{**ROW, "q": f"{text} ?", "short": f"is {text}"} for text in ERRORS]
KEPT += [{**ROW, "think": text, "say": text} for text in TRICKY if not dataset.TAG.search(text)]
KEPT += [{**ROW, "q": "Long? " + "word " * 50_000}, {**ROW, "q": "x" * 200_000}, {**ROW, "more": "y" * 1_000_000}]
DROPPED = [({**ROW, "think": text}, "think tag in reasoning") for text in TAGGED]
DROPPED += [({**ROW, "say": text}, "think tag in response") for text in TAGGED]
DROPPED += [({**ROW, "q": f"{text}?"}, "control characters in question") for text in CONTROLS]
for ours, theirs in COLUMNS.items():
    DROPPED += [({**ROW, theirs: f"a{CONTROLS[0]}"}, f"control characters in {ours}")]
    DROPPED += [({**ROW, theirs: "z" * 1_000_000}, f"overlong {ours}"), ({**ROW, theirs: " \u00a0\t"}, f"empty {ours}")]
DROPPED += [({**ROW, "q": text}, "no word in question") for text in ("?", "…!", "🩺🩺", "\u200b\u200b", "<>")]
DROPPED += [({**ROW, "q": text}, "duplicate question") for text in ("What is number 3?", "«WHAT is number\t3…»")]
DROPPED += [
    ({**ROW, theirs: f" {text}"}, f"spreadsheet error in {ours}") for text in ERRORS for ours, theirs in COLUMNS.items()
]
# Values that CSV has no types for.
TYPED = [({**ROW, theirs: None}, f"no {ours}") for ours, theirs in COLUMNS.items()]
TYPED += [
    ({key: value for key, value in ROW.items() if key != theirs}, f"no {ours}") for ours, theirs in COLUMNS.items()
]
TYPED += [({**ROW, "q": value}, "mistyped question") for value in (5, 5.5, True, ["a"], {"a": {"b": 1}}, 10**30)]
TYPED += [({**ROW, "short": value}, "mistyped answer") for value in (True, ["7"], {"a": 7}, math.inf, -math.inf)]
TYPED += [({**ROW, "think": math.nan}, "no reasoning"), ({**ROW, "short": math.nan}, "no answer")]
NUMBERS = [
    ({**ROW, "short": value}, shown) for value, shown in ((7, "7"), (-0.5, "-0.5"), (10**4000, "1" + "0" * 4000))
]


def name_of(value):
    return repr(value)[:60]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, committed):
    """The records of the good rows alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "data/input").mkdir(parents=True)
    as_jsonl(folder / "data/input/good.jsonl", GOOD)
    source = {
        "source": "files",
        "files": {"data_files": ["good.jsonl"], "columns": {**COLUMNS, "group": None}},
        "eval_share": 0.4,
    }
    with contextlib.chdir(folder):
        fetch_dataset.main(params.check({**committed, "dataset": {**committed["dataset"], **source}}))
        return written()


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_rows_that_only_look_dangerous_are_kept_as_they_are(kind, fetch, undisturbed):
    kept = [{"more": "", **one, "q": f"{one['q']} {number}"} for number, one in enumerate(KEPT)]
    more = [{"more": "", **one} for one in GOOD]
    said, metrics = fetch(fetch.write([*kept[::2], *more, *kept[1::2]], f"rows.{kind}"))
    assert said == []
    assert metrics["dropped"] == {"dataset": {}}
    found = {one["question"]: one for one in written()}
    for one in kept:
        record = found[one["q"].strip()]
        assert (record["reasoning"], record["response"]) == (one["think"].strip(), one["say"].strip())
    assert [one for one in written() if one["question"].startswith("What is number")] == undisturbed


@pytest.mark.parametrize("reason", sorted({reason for _, reason in DROPPED + TYPED}))
def test_rows_that_cannot_be_used_are_counted_by_their_reason_and_change_no_other(reason, fetch, undisturbed):
    bad = [one for one, because in DROPPED + TYPED if because == reason]
    said, metrics = fetch(fetch.write([*GOOD[:9], *bad, *GOOD[9:]], "rows.jsonl"))
    assert said == []
    assert written() == undisturbed  # or those that were kept
    assert metrics["dropped"] == {"dataset": {reason: len(bad)}}


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_every_format_counts_the_same_reasons(kind, fetch, undisturbed):
    bad = DROPPED if kind != "json" else DROPPED + TYPED
    rows = [*GOOD, *({**GOOD[0], "q": f"Is it {n}?"} for n in range(len(bad))), *(one for one, _ in bad)]
    said, metrics = fetch(fetch.write(rows, f"rows.{kind}"))
    assert said == []
    expected = {}
    for _, reason in bad:
        expected[reason] = expected.get(reason, 0) + 1
    assert metrics["dropped"] == {"dataset": expected}
    assert [one for one in written() if one["question"].startswith("What is number")] == undisturbed


@pytest.mark.parametrize(("number", "shown"), NUMBERS, ids=name_of)
def test_a_number_is_an_answer_whatever_its_length(number, shown, fetch):
    fetch(fetch.write([*GOOD, number], "rows.jsonl"))
    assert [one["answer"] for one in written() if one["question"] == ROW["q"]] == [shown]


TYPED_COLUMNS = [
    ("q", pa.array([1, 2, 3]), "mistyped question 3"),
    ("q", pa.array([b"\xff", b"", None]), "mistyped question 2, no question 1"),
    ("short", pa.array([True, False, True]), "mistyped answer 3"),
    ("short", pa.array([0, 1, 2], pa.timestamp("us", tz="Nowhere/Such")), "not valid Parquet"),
    ("short", pa.array([2**40, 1, 2], pa.duration("ns")), "mistyped answer 3"),
    ("think", pa.array([["a"], [], None]), "mistyped reasoning 2, no reasoning 1"),
    ("say", pa.array([{"a": 1}, {}, None]), "mistyped response 2, no response 1"),
    ("say", pa.nulls(3), "no response 3"),
]


@pytest.mark.parametrize(("column", "cells", "said"), TYPED_COLUMNS, ids=range(len(TYPED_COLUMNS)))
def test_columns_of_parquet_of_other_types_are_told(column, cells, said, fetch, tmp_path):
    table = pa.table({**{key: [f"{key} {n}" for n in range(3)] for key in ROW}, column: cells})
    pq.write_table(table, tmp_path / "data/input/rows.parquet")
    (line,), _ = fetch("rows.parquet")
    assert said in line


def test_a_column_that_is_not_used_may_hold_anything(fetch, tmp_path):
    table = pa.Table.from_pylist(GOOD).append_column("when", pa.array([0] * 24, pa.timestamp("us", tz="Nowhere/Such")))
    pq.write_table(table.append_column("when", pa.nulls(24)), tmp_path / "data/input/rows.parquet")
    assert fetch("rows.parquet")[1]["dropped"] == {"dataset": {}}


# --- hostile files --------------------------------------------------------------------------------------------------


def lines(*rows):
    return "".join(map(records.line, rows)).encode()


def parquet(table=None, **options):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(GOOD) if table is None else table, file, **options)
    return file.getvalue()


def commas(*rows, head="q,think,say,short", end="\n"):
    return (end.join([head, *rows]) + end).encode()


ALL, HALF_A_PAIR = lines(*GOOD), b'{"q": "Half \\ud83e?", "think": "t", "say": "s", "short": "1"}\n'
CELLS = [",".join(one.values()) for one in GOOD]
ONE = {key: [text] for key, text in ROW.items()}
NO_STRING = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"], pa.binary()).buffers())
STOPS = [
    ("empty.jsonl", b"", "no usable row among 0"),
    ("blank.jsonl", b"\n \n\t\n", "no usable row among 0"),
    ("empty.json", b"", "empty.json: no JSON"),
    ("list.json", b"[]", "no usable row among 0"),
    ("object.json", b"{}", "holds dict, not a list of rows"),
    ("null.json", b"null", "holds NoneType, not a list of rows"),
    ("word.json", b'"rows"', "holds str, not a list of rows"),
    ("lines.json", ALL, "lines.json: no JSON (Extra data"),
    ("comma.json", b"[" + lines(ROW) + b",]", "comma.json: no JSON"),
    ("comment.json", b"// rows\n[]", "comment.json: no JSON"),
    ("cut.json", json.dumps(GOOD).encode()[:-9], "cut.json: no JSON"),
    ("mixed.json", json.dumps([*GOOD, 5]).encode(), "mixed.json, row 25: int, not an object"),
    ("nested.json", json.dumps([GOOD]).encode(), "nested.json, row 1: list, not an object"),
    ("objects.json", b"[{}, {}]", "no usable row among 2 (no question 2)"),
    ("deep.json", b"[" * 100_000, "deep.json: no JSON"),
    ("list.jsonl", json.dumps(GOOD).encode(), "list.jsonl, row 1: list, not an object"),
    ("broken.jsonl", ALL + b'{"q": "Which?", "thi\n' + lines(ROW), "broken.jsonl, line 25: no JSON"),
    ("quotes.jsonl", ALL + b"{'q': 'Which?'}\n", "quotes.jsonl, line 25: no JSON"),
    ("null.jsonl", ALL + b"null\n", "null.jsonl, row 25: NoneType, not an object"),
    ("deep.jsonl", ALL + b'{"q": ' + b"[" * 100_000 + b"\n", "deep.jsonl, line 25: no JSON"),
    ("digits.jsonl", ALL + b'{"short": ' + b"9" * 5000 + b"}\n", "digits.jsonl, line 25: no JSON"),
    ("twice.jsonl", ALL + b'{"q": "One?", "q": "Two?"}\n', "line 25: no JSON (the key 'q' is given twice)"),
    ("half.jsonl", ALL + HALF_A_PAIR, "half.jsonl, line 25: no JSON"),
    ("control.jsonl", ALL + b'{"q": "a\0b"}\n', "control.jsonl, line 25: no JSON (Invalid control character"),
    ("zeros.jsonl", b"\0" * 5000, "zeros.jsonl, line 1: no JSON"),
    ("latin.jsonl", ALL + '{"q": "Café?"}\n'.encode("latin-1"), "latin.jsonl, line 25: not UTF-8"),
    ("utf-16.jsonl", ALL.decode().encode("utf-16"), "utf-16.jsonl, line 1: not UTF-8"),
    ("utf-16-le.jsonl", ALL.decode().encode("utf-16-le"), "utf-16-le.jsonl, line 1: no JSON"),
    ("other.jsonl", lines({"Question": "Q?", "\x1b[2J": 1}), "no column q"),
    ("keys.jsonl", lines({f"k{n}" * 99: n for n in range(999)}), "no column q"),
    ("one.jsonl", lines(ROW), None),
    ("empty.csv", b"", "no usable row among 0"),
    ("head.csv", commas(), "no usable row among 0"),
    ("semicolons.csv", commas(head="q;think;say;short"), "no column q, think, say, short: it has q;think"),
    ("tabs.csv", commas(head="q\tthink\tsay\tshort"), "no column q"),
    ("no-head.csv", commas(*CELLS[1:], head=CELLS[0]), "no column q"),
    ("twice.csv", commas(*(f"{one},x" for one in CELLS), head="q,think,say,short,q"), "column q is there 2 times"),
    ("long.csv", commas(*CELLS, "Well, this?,t,s,1"), "long.csv, line 26: more cells than columns"),
    ("open.csv", commas(*CELLS, '"Which?,t,s,1'), "open.csv, row from line 26: not valid CSV"),
    ("after.csv", commas(*CELLS, '"Which"?,t,s,1'), "not valid CSV"),
    ("mac.csv", commas(*CELLS, end="\r"), "not valid CSV"),
    ("latin.csv", commas(*CELLS) + "Café?,t,s,1\n".encode("latin-1"), "latin.csv, line 26: not UTF-8"),
    ("utf-16.csv", commas(*CELLS).decode().encode("utf-16"), "utf-16.csv, line 1: not UTF-8"),
    ("utf-16-be.csv", commas(*CELLS).decode().encode("utf-16-be"), "no column q"),
    ("zip.csv", b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xb5", "zip.csv, line 1: not UTF-8"),
    ("empty.parquet", b"", "empty.parquet: not valid Parquet"),
    ("text.parquet", commas(*CELLS), "text.parquet: not valid Parquet"),
    ("cut.parquet", parquet()[:-20], "cut.parquet: not valid Parquet"),
    ("zeros.parquet", b"PAR1" + b"\0" * 500 + b"PAR1", "zeros.parquet: "),
    ("flipped.parquet", parquet(compression="gzip").replace(b"\x1f\x8b", b"\x1f\x8c"), "flipped.parquet: "),
    ("rows.parquet", parquet(pa.Table.from_pylist(GOOD)[:0]), "no usable row among 0"),
    ("other.parquet", parquet(pa.table({"question": ["Q?"]})), "no column q"),
    ("twice.parquet", parquet(pa.table([["a"]] * 5, names=["q", "q", "think", "say", "short"])), "q is there 2 times"),
    ("latin.parquet", parquet(pa.table({**ONE, "q": NO_STRING})), "not valid Parquet"),
    ("pipe.jsonl", os.mkfifo, "pipe.jsonl: a pipe or a device"),
    ("folder.jsonl", os.mkdir, "folder.jsonl: a folder: name the files in it"),
    ("missing.jsonl", None, "missing.jsonl: no such file: put it there"),
    ("n" * 300 + ".csv", None, "cannot be read: File name too long"),
    ("out.jsonl", lambda path: path.symlink_to(ROOT / "params.yaml"), "out.jsonl: a link out of data/input"),
    ("device.jsonl", lambda path: path.symlink_to("/dev/zero"), "device.jsonl: a link out of data/input"),
    ("nowhere.jsonl", lambda path: path.symlink_to("nowhere"), "nowhere.jsonl: no such file"),
    ("loop.jsonl", lambda path: path.symlink_to(path.name), "loop.jsonl: cannot be read"),
]  # fmt: skip
PASSES = [
    ("mark.jsonl", b"\xef\xbb\xbf" + ALL, {}),
    ("windows.jsonl", ALL.replace(b"\n", b"\r\n"), {}),
    ("no-end.jsonl", ALL[:-1], {}),
    ("gaps.jsonl", ALL.replace(b"\n", b"\n\n \n"), {}),
    ("mark.json", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), {}),
    ("mark.csv", b"\xef\xbb\xbf" + commas(*CELLS), {}),
    ("windows.csv", commas(*CELLS, end="\r\n"), {}),
    ("gaps.csv", commas(*CELLS, end="\n\n"), {}),
    ("short.csv", commas(*CELLS, "Which one?,t"), {"no response": 1}),
    ("zero.csv", commas(*CELLS, "Wh\0ich?,t,s,1"), {"control characters in question": 1}),
    ("unnamed.csv", commas(*(f"{one},,x" for one in CELLS), head="q,think,say,short,,"), {}),
    ("infinite.jsonl", ALL + b'{"q": "So?", "think": "t", "say": "s", "short": Infinity}\n', {"mistyped answer": 1}),
    ("NaN.json", b'[{"q": NaN},' + json.dumps(GOOD)[1:].encode(), {"no question": 1}),
    ("groups.parquet", parquet(row_group_size=1), {}),
]


@pytest.mark.parametrize("role", ["dataset", "evaluation set"])
@pytest.mark.parametrize(("name", "content", "said"), STOPS, ids=[name[:20] for name, *_ in STOPS])
def test_a_file_that_cannot_be_read_is_one_clear_line(name, content, said, role, fetch, tmp_path):
    path = tmp_path / "data/input" / name
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content)
    if role == "evaluation set" and said is None:
        assert sum(fetch(name, role)[1]["kept"]["mine"].values()) == 1
        return
    (line,), _ = fetch(name, role)
    assert (said or "dataset: no ").replace(
        "q, think, say, short", "q, short" if role != "dataset" else "q, think, say, short"
    ) in line
    # All files of a source together may have no usable row: then the source is named.
    assert name[:60] in line if said and "no usable row" not in said else f": {role} " in line or said is None


@pytest.mark.parametrize(("name", "content", "dropped"), PASSES, ids=[name for name, *_ in PASSES])
def test_a_file_written_differently_gives_the_same_rows(name, content, dropped, fetch, tmp_path, undisturbed):
    (tmp_path / "data/input" / name).write_bytes(content)
    said, metrics = fetch(name)
    assert (said, metrics["dropped"]) == ([], {"dataset": dropped})
    assert written() == undisturbed


@pytest.mark.parametrize(
    ("name", "config", "cache"),
    [
        ("config", "", ".dvc/cache"),
        ("config", "[cache]\n    dir = ../shared\n", "shared"),
        ("config.local", "[cache]\n    dir = {}/shared\n", "shared"),
    ],
)
def test_links_within_the_folder_and_into_the_cache_of_dvc_are_read(name, config, cache, fetch, tmp_path, undisturbed):
    (tmp_path / "data/input/here.jsonl").write_bytes(ALL)
    (tmp_path / "data/input/link.jsonl").symlink_to("here.jsonl")
    cached = tmp_path / cache / "files/md5/ab/cdef"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(ALL)
    (tmp_path / "data/input/cached.jsonl").symlink_to(cached)
    (tmp_path / ".dvc").mkdir(exist_ok=True)
    (tmp_path / ".dvc" / name).write_text(config.format(tmp_path))
    for file in ("link.jsonl", "cached.jsonl"):
        assert fetch(file)[0] == []
        assert written() == undisturbed
    (tmp_path / "data/input/out.jsonl").symlink_to(tmp_path / "params.yaml")
    assert "out.jsonl: a link out of data/input and of DVC's cache" in fetch("out.jsonl")[0][0]


def test_a_config_of_dvc_that_cannot_be_read_is_one_clear_line(fetch, tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache\n")
    (tmp_path / "data/input/out.jsonl").symlink_to(tmp_path / "params.yaml")
    assert ".dvc/config: cannot be read: config file error" in fetch("out.jsonl")[0][0]


def test_a_pipe_ends_the_real_stage_with_one_line(fetch, tmp_path):
    os.mkfifo(tmp_path / "data/input/rows.jsonl")
    fetch("rows.jsonl")  # writes params.yaml
    ended = subprocess.run(
        [sys.executable, "-B", "-m", "stages.fetch_dataset"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "fetch_dataset: data/input/rows.jsonl: a pipe or a device, no file: write its rows into a file\n"
    )


def test_what_is_not_there_is_told_before_anything_is_fetched(fetch, values, monkeypatch):
    monkeypatch.setattr(hub_dataset, "rows", mock.Mock(side_effect=AssertionError("fetched")))
    values["dataset"] |= {"builtin": {"seed": 1, "scores": ["CURB-66"]}, "source": "builtin"}
    one = {"name": "theirs", "source": "hub", "kind": "open", "rows": 9, "options": None, "columns": ASKED}
    one["answer_key"] = None
    one["hub"] = {"path": "some/where", "name": None, "split": "test", "revision": "0" * 40}
    values["evaluation_sets"] = [one]
    monkeypatch.setattr(hub_dataset, "rows", lambda _: (pytest.fail("fetched") for _ in range(1)))
    with pytest.raises(UserError, match="no score CURB-66: there are "):
        fetch_dataset.main(params.check(values))


def test_a_folder_is_not_read_in_place_of_the_hub(values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some/where").mkdir(parents=True)
    values["dataset"]["hub"]["path"] = "some/where"
    with pytest.raises(UserError, match="the folder some/where here would be read instead"):
        next(hub_dataset.rows(params.check(values).dataset.hub))


# --- hostile questions of evaluation sets ---------------------------------------------------------------------------

OPTIONS = [
    (["yes", "yes"], "options of the same text"),
    (["Yes", " yes\n"], "options of the same text"),
    ({"A": "two  words", "B": "Two words"}, "options of the same text"),
    ("A. same\nB. same", "options of the same text"),
    (None, "no options"),
    (math.nan, "no options"),
    ("yes or no", "unreadable options"),
    ('{"A": "yes", "B": "no"}', "unreadable options"),
    ([], "unreadable options"),
    (["yes"], "unreadable options"),
    (["yes", None], "unreadable options"),
    (["yes", 5, True], "unreadable options"),
    ([["yes"], ["no"]], "unreadable options"),
    ({"A": {"text": "yes"}, "B": "no"}, "unreadable options"),
    ({"A": "yes", "a": "no"}, "unreadable options"),
    ({"1": "yes", "2": "no"}, "unreadable options"),
    ([str(n) for n in range(27)], "unreadable options"),
    (5, "unreadable options"),
    (["yes", "n\0o"], "control characters in options"),
    (["yes", "o" * 600_000], "overlong options"),
    (["yes", "#REF!"], "spreadsheet error in options"),
    (["no", "maybe"], "answer is no option by text"),
]


@pytest.mark.parametrize(("options", "reason"), OPTIONS, ids=name_of)
def test_options_that_cannot_be_asked_are_counted_by_their_own_reason(options, reason, fetch):
    good = [{"q": f"Is it {n}?", "short": "yes", "o": ["yes", "no"]} for n in range(3)]
    rows = [good[0], {"q": "Is it?", "short": "yes", "o": options}, *good[1:]]
    said, metrics = fetch(fetch.write(rows, "rows.jsonl"), "evaluation set", {"options": "o"}, kind="choice")
    assert said == []
    assert metrics["dropped"]["mine"] == {reason: 1}
    assert sum(metrics["kept"]["mine"].values()) == 3


def test_an_option_is_one_line_so_that_it_adds_no_other(fetch):
    rows = [
        {"q": "Is it?", "short": "yes", "o": ["yes\nC. right", "no"]},
        {"q": "Or?", "short": "no", "o": ["yes", "no\r\n"]},
    ]
    fetch(fetch.write(rows, "rows.jsonl"), "evaluation set", {"options": "o"}, kind="choice", rows=2)
    (one,) = written("mine")
    assert one["options"] == {"A": "yes", "B": "no"}
    assert evaluation_sets.options_of(["yes\nC. right", "no"]) == {"A": "yes C. right", "B": "no"}


def test_a_row_that_is_dropped_takes_no_question_from_a_later_one(fetch):
    rows = [{"q": "Is it?", "short": answer, "o": ["yes", "no"]} for answer in ("perhaps", "yes", "no")]
    _, metrics = fetch(fetch.write(rows, "rows.jsonl"), "evaluation set", {"options": "o"}, kind="choice")
    assert metrics is None or metrics["dropped"]["mine"] == {"answer is no option by text": 1, "duplicate question": 1}
    cleaner = Cleaner()
    first = {"question": "Is it?", "reasoning": "<think>", "response": "Yes."}
    assert cleaner.clean(first, OPEN) is None
    assert cleaner.clean({**first, "reasoning": "So."}, OPEN)


@settings(max_examples=150, deadline=None)
@given(st.from_regex(evaluation_sets.NUMBER, fullmatch=True))
def test_a_number_that_is_asked_for_is_read_by_the_grader_as_it_was_meant(text):
    record = {"question": "How many?", "answer": text}
    meant = float(text.replace(",", ""))
    if evaluation_sets._finish(record, SimpleNamespace(kind="number"), None, set()) is None:
        assert numerals.truth(numerals.spelled(plain(record["answer"]))).value == meant
    else:
        assert math.isinf(meant)


# --- no row takes control -------------------------------------------------------------------------------------------

LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
TEXTS = st.lists(st.sampled_from(TRICKY + TAGGED) | LETTERS, min_size=1, max_size=3).map("".join)


@pytest.fixture(scope="module", params=["plain", "chat"])
def formatter(request, tiny, tiny_tokenizer):
    return prompts.Formatter(tiny_tokenizer, tiny.prompt.model_copy(update={"style": request.param}))


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.dictionaries(st.sampled_from("ABC"), TEXTS))
def test_any_row_leaves_its_prompt_and_its_neighbours_as_they_are(formatter, question, reasoning, response, options):
    calm = {"id": "1", "set": "train", "question": "Which?", "reasoning": "So.", "response": "That."}
    bad = {**calm, "question": question, "reasoning": reasoning, "response": response, "options": options}
    alone, before, hostile, after = *formatter.examples([calm]), *formatter.examples([calm, bad, calm])
    assert alone == before == after
    tokenizer = formatter.tokenizer
    first, last = formatter.side_ids
    assert hostile["prompt_ids"][: len(first)] == first
    assert hostile["prompt_ids"][len(hostile["prompt_ids"]) - len(last) :] == last
    inside = hostile["prompt_ids"][len(first) : len(hostile["prompt_ids"]) - len(last)]
    assert not set(inside) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(inside) == prompts.question_text(bad, True)
    tagged = re.search("</?think>", f"{reasoning}\n{response}", re.IGNORECASE)
    assert ("completion_ids" in hostile) == (not tagged)
    if tagged:
        return
    assert not set(hostile["completion_ids"][:-1]) & set(tokenizer.all_special_ids)
    assert hostile["completion_ids"][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(hostile["completion_ids"][:-1]) == formatter.completion(bad)


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_what_is_learned_closes_its_thinking_once_and_is_graded_by_its_response(reasoning, response):
    row = {"question": "What is it?", "reasoning": reasoning, "response": response}
    record = Cleaner().clean(row, OPEN)
    if record is not None:
        text = f"<think>\n{record['reasoning']}\n</think>\n{record['response']}"
        assert thinking.split(text).answer == record["response"]


KEYS = ["letter", "index_from_0", "index_from_1", "text"]
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(st.characters(), max_size=20)
MANY = st.lists(ANYTHING, max_size=4) | st.dictionaries(st.sampled_from("ABCabc1"), ANYTHING, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*KEYS, "number", "open"]), ANYTHING, ANYTHING, ANYTHING | MANY, TEXTS)
def test_any_row_is_dropped_by_a_reason_or_can_be_written_and_graded(kind, question, answer, options, text):
    cleaner = Cleaner()
    one = SimpleNamespace(kind="choice" if kind in KEYS else kind, answer_key=kind)
    record = cleaner.clean(
        {"q": question, "a": answer},
        {"question": "q", "answer": "a"},
        lambda record: evaluation_sets._finish(record, one, options, set()),
    )
    assert (record is None) == (cleaner.dropped.total() == 1)
    if record is not None:
        records.line(record).encode()
        for said in (
            text,
            f"The answer is {record['answer']}.",
            prompts.question_text({**record, "kind": one.kind}, True),
        ):
            grade.grade({**record, "kind": one.kind}, said, relative_tolerance=0.01, overlap_threshold=0.4)


@pytest.fixture(scope="module")
def calm():
    """A report of one calm row, and its charts."""
    whole = context([row("heldout", "The score is 3.", "The score is 4.")])
    return whole, charts.all_of(whole)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["choice", "number", "open"]))
def test_whatever_rows_and_models_say_is_text_in_the_report(calm, question, before, after, kind):
    calm, calm_charts = calm
    record = {"kind": kind, "question": question, "reasoning": after, "response": before, "id": "x"}
    if kind == "choice":
        record |= {"options": {"A": question or "a", "B": before}, "answer": "A"}
    rows = [row("heldout", before, f"<think>{after}</think>{before}", **record)]
    seen = {"tokens": {"median": 1, "min": 1, "max": 1}, "overlong": {"dropped": 0, "truncated": 0}, "tagged": 0}
    seen |= {"train": 1}
    seen["example"] = {"prompt": question, "completion": after}
    whole = dataclasses.replace(calm, rows=rows, prompts=seen, free=[{"question": question, **rows[0]}])
    with mock.patch.object(charts, "all_of", return_value=calm_charts):  # they hold no text of a row
        html, short = page.html(whole), page.markdown(whole)
    found = Page(html)
    assert set(found.tags) <= TAGS
    assert found.tags.count("script") == found.tags.count("style") == found.tags.count("h1") == 1
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in found.attributes if name == "href")
    for text in (html, short, tables.answers(rows)):
        text.encode()
