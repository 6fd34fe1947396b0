"""A stage ends with one line that says what came of it, or with a line for each problem; its cost is written aside."""

import json
import os
import re
from unittest import mock

import pytest

from stages.common import stage
from stages.common.errors import UserError


@pytest.fixture(autouse=True)
def _here(workplace):
    with mock.patch.dict(os.environ):
        yield


def fail(error):
    def main(params):
        raise error

    return main


def test_the_summary_is_one_line_on_standard_output(capsys, committed):
    stage.run("some_stage", lambda params: f"{params.dataset.train_rows} rows")
    out, err = capsys.readouterr()
    rows = committed["dataset"]["train_rows"]
    assert re.fullmatch(rf"some_stage: {rows} rows \(\d+ s, \d+\.\d GB\)\n", out)
    assert err == ""


def test_costs_go_to_a_file_of_their_own(workplace):
    stage.run("some_stage", lambda params: "done")
    costs = json.loads((workplace / "metrics/costs/some_stage.json").read_text())
    assert costs.keys() == {"seconds", "peak_memory_mb"}
    assert 0 <= costs["seconds"] < 60
    assert 10 < costs["peak_memory_mb"] < 100_000
    assert [path.name for path in (workplace / "metrics").rglob("*") if path.is_file()] == ["some_stage.json"]


def test_every_line_of_a_user_error_names_the_stage(capsys, workplace):
    with pytest.raises(SystemExit) as ended:
        stage.run("some_stage", fail(UserError("a.b: wrong: mend it\nc.d: missing: add it")))
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert err == "some_stage: a.b: wrong: mend it\nsome_stage: c.d: missing: add it\n"
    assert out == ""
    assert not (workplace / "metrics").exists()


def test_bad_params_end_the_stage_before_it_begins(capsys, workplace):
    (workplace / "params.yaml").write_text("lora: {}\n")
    main = mock.Mock()
    with pytest.raises(SystemExit) as ended:
        stage.run("some_stage", main)
    assert ended.value.code == 1
    assert not main.called
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 10
    assert all(line.startswith("some_stage: params.yaml: ") for line in lines)


def test_an_interruption_ends_with_130_and_without_a_traceback(capsys, workplace):
    with pytest.raises(SystemExit) as ended:
        stage.run("some_stage", fail(KeyboardInterrupt()))
    assert ended.value.code == 130
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("some_stage: interrupted")
    assert not (workplace / "metrics").exists()


def test_a_mistake_of_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        stage.run("some_stage", fail(ZeroDivisionError()))


@pytest.mark.parametrize("error", [UserError("no"), KeyboardInterrupt()], ids=repr)
def test_a_failure_keeps_the_costs_of_the_last_success(error, workplace):
    stage.run("some_stage", lambda params: "done")
    path = workplace / "metrics/costs/some_stage.json"
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        stage.run("some_stage", fail(error))
    assert path.read_bytes() == before


def test_no_library_reports_home():
    stage.run("some_stage", lambda params: "done")
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == os.environ["DO_NOT_TRACK"] == "1"
