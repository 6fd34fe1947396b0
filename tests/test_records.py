"""A file of rows is whole or not there, one line a row whatever the text, and the same bytes for the same rows."""

import hashlib
import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.files import records
from stages.files.errors import UserError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5)
BREAKS = "a\nb\rc\r\nd\u2028e\u2029f\x85g\x0bh\x0ci\x1cj"  # all that str.splitlines splits at


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "records/rows.jsonl"
    assert records.write(path, rows) == len(rows)
    assert list(records.read(path)) == rows
    assert path.read_bytes().count(b"\n") == len(rows)


def test_a_row_is_one_line_whatever_its_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.write(path, [{"text": BREAKS}, {"text": "next"}])
    assert path.read_bytes().count(b"\n") == 2
    assert b"\r" not in path.read_bytes()
    assert [row["text"] for row in records.read(path)] == [BREAKS, "next"]


def test_lines_are_utf8_with_sorted_keys(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.write(path, [{"b": "≥ 65 år", "a": {"d": 1, "c": 2}}])
    assert path.read_bytes() == '{"a": {"c": 2, "d": 1}, "b": "≥ 65 år"}\n'.encode()


def test_the_bytes_do_not_depend_on_the_order_of_keys(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    records.write_json(one, {"x": 1, "y": {"z": 1, "a": 2}})
    records.write_json(two, {"y": {"a": 2, "z": 1}, "x": 1})
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().endswith(b"}\n")
    assert json.loads(one.read_text("utf-8")) == {"x": 1, "y": {"z": 1, "a": 2}}


def breaking(error):
    yield {"row": 1}
    raise error


@pytest.mark.parametrize("error", [UserError("mend me"), ValueError(), KeyboardInterrupt(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("before", [b"old\n", None])
def test_a_failure_leaves_what_was_there_and_nothing_else(error, before, tmp_path):
    path = tmp_path / "deep/down/rows.jsonl"
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(before)
    with pytest.raises(type(error)):
        records.write(path, breaking(error))
    assert [one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()] == ([before] if before else [])


def test_a_row_that_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.write(path, [{"row": 1}])
    for bad in ({"half a pair": "\ud800"}, {"no JSON": object()}):
        with pytest.raises((UnicodeEncodeError, TypeError)):
            records.write(path, [{"row": 2}, bad])
    assert [row["row"] for row in records.read(path)] == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_at_the_path_before_the_end(tmp_path):
    path = tmp_path / "rows.jsonl"
    with records.atomic_write(path) as file:
        file.write("half")
        file.flush()
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"rows\.jsonl: not found: run `dvc repro`"):
        list(records.read(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize("damage", [b'{"row": 2', b"", b"\xff\n", b"5", b"9" * 5000, b"[" * 100_000])
def test_a_damaged_file_is_one_clear_line(damage, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"row": 1}\n' + damage + b'\n{"row": 3}\n')
    with pytest.raises(UserError) as caught:
        list(records.read(path))
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)
    assert b"\xff" in damage or "line 2" in str(caught.value)


def test_rows_are_read_one_at_a_time(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"row": 1}\n{"row": 2}\nbroken\n')
    assert list(islice(records.read(path), 2)) == [{"row": 1}, {"row": 2}]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_hold_every_row_once_in_order(rows, size):
    batches = list(records.batches(iter(rows), size))
    assert [row for batch in batches for row in batch] == rows
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(1 <= len(batch) <= size for batch in batches)


def test_batches_read_no_further_than_they_must():
    rows = iter(range(10))
    next(records.batches(rows, 3))
    assert next(rows) == 3


def test_a_fingerprint_is_the_same_on_every_machine_and_day():
    assert records.fingerprint({"question": "Which?", "år": 1}) == "793ffa8d3671c7dc"
    content = '{"question": "Which?", "år": 1}'.encode()
    assert records.fingerprint({"år": 1, "question": "Which?"}, 64) == hashlib.sha256(content).hexdigest()


@settings(deadline=None)
@given(VALUES, VALUES)
def test_a_fingerprint_tells_values_apart(one, two):
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (records.fingerprint(one) == records.fingerprint(two)) == same


def test_a_fingerprint_takes_any_text():
    assert records.fingerprint("\ud800") != records.fingerprint("\ud801")
