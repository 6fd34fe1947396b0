"""A stage ends with one line that says what came of it, or with a line for each problem; its cost is written aside."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from stages.common import costs as costs_module
from stages.common import records, stage
from stages.common.errors import UserError, naming, words
from tests.conftest import ROOT


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


def test_costs_go_to_a_file_of_their_own(workplace, monkeypatch):
    monkeypatch.setattr(costs_module, "_work", {})
    stage.run("some_stage", lambda params: "done")
    costs = json.loads((workplace / "metrics/costs/some_stage.json").read_text())
    assert costs.keys() == {"seconds", "peak_memory_mb"}
    assert 0 <= costs["seconds"] < 60
    assert 10 < costs["peak_memory_mb"] < 100_000
    assert [path.name for path in (workplace / "metrics").rglob("*") if path.is_file()] == ["some_stage.json"]


def test_an_error_begins_a_line_of_its_own_after_a_progress_bar(capsys):
    from tqdm import tqdm

    bar = tqdm(total=3)  # held by the traceback of a real error, and so still open
    with pytest.raises(SystemExit):
        stage.run("some_stage", fail(UserError("a.b: wrong")))
    assert capsys.readouterr().err.endswith("\nsome_stage: a.b: wrong\n")
    bar.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_library_that_is_being_imported_swallows_no_signal(workplace, sent):
    Path("swallowing.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {sent:d})\nexcept BaseException:\n    pass\n"
    )
    code = "import sys; sys.path[:0] = ['.', sys.argv[1]]\nfrom stages.common import stage\n"
    code += "def main(params):\n    import swallowing\n    return 'went on'\nstage.run('some_stage', main)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=False, cwd=workplace
    )
    assert done.returncode == 128 + sent
    assert done.stderr == "some_stage: interrupted: `dvc repro` goes on from here\n"
    assert done.stdout == ""


def test_a_signal_that_is_ignored_stays_so(workplace, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and background jobs have it
    try:
        stage.run("some_stage", lambda params: os.kill(os.getpid(), signal.SIGINT) or "done")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("secret", ["hf_s3nt1nel", "hf_s3nt\v1nel"])
def test_no_secret_is_in_the_words_of_an_error(monkeypatch, secret):
    monkeypatch.setenv("HF_TOKEN", secret)
    for error in (
        ValueError(f"bad header {secret}!"),
        ValueError(f"Illegal header value {f'Bearer {secret}'.encode()}"),
    ):
        assert "1nel" not in words(error)
        assert "[HF_TOKEN]" in words(error)


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


def failure(capsys, main):
    """What a stage that fails says, in its one line."""
    with pytest.raises(SystemExit) as ended:
        stage.run("some_stage", main)
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removesuffix("\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), "cannot write a/b: No space left on device: free some space"),
        (OSError(errno.ENOSPC, "x"), "cannot write a file: No space left on device: free some space"),
        (OSError(errno.EROFS, "x", b"a/b"), "cannot write a/b: Read-only file system: make it writable"),
        (OSError(errno.EACCES, "x", "a"), "cannot read or write a: Permission denied: make it readable and writable"),
        (
            OSError(errno.EISDIR, "x", "p", None, "a"),
            "cannot read or write a: Is a directory: move away what is in its place",
        ),
        (OSError(errno.ENOENT, "x", "a"), "cannot read or write a: No such file or directory: put it there"),
        (OSError(errno.EIO, "x", "a"), "cannot read or write a: Input/output error: mend that"),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "cannot write a safetensors file: No space left on device: free some space",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(capsys, error, line):
    assert failure(capsys, fail(error)) == f"some_stage: {line}, then `dvc repro` again"


def test_a_full_disk_keeps_the_earlier_file_and_names_it(capsys, monkeypatch):
    path = Path("data/rows.jsonl")
    records.write(path, [{"earlier": 1}])

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        line = failure(capsys, lambda params: records.write(path, [{"later": 2}]))
    assert "cannot write data/rows.jsonl: No space left on device" in line
    assert list(records.read(path)) == [{"earlier": 1}]
    assert [one.name for one in path.parent.iterdir()] == ["rows.jsonl"]


def test_a_folder_in_the_place_of_a_file_is_one_line(capsys):
    path = Path("data/rows.jsonl")
    (path / "inside").mkdir(parents=True)
    for main in (lambda params: records.write(path, []), lambda params: list(records.read(path))):
        assert "cannot read or write data/rows.jsonl: Is a directory: move away" in failure(capsys, main)
    assert [one.name for one in path.parent.iterdir()] == ["rows.jsonl"]


def test_a_file_in_the_place_of_a_folder_is_one_line_wherever_it_is_met(capsys, workplace):
    (workplace / "metrics").write_text("")
    assert "cannot read or write metrics" in failure(capsys, lambda params: "done")
    assert "cannot read or write metrics" in failure(capsys, lambda params: records.write(Path("metrics/a/b"), []))


def test_weights_that_cannot_be_written_are_one_line(capsys):
    Path("weights").mkdir()
    assert "Is a directory" in failure(capsys, lambda params: save_file({"a": torch.zeros(2)}, "weights"))


def test_an_error_of_a_partial_file_names_the_whole_one(capsys):
    def main(params):
        with naming(Path("models/adapter"), Path("models/adapter.partial")):
            raise SafetensorError('I/O error: No space left on device (os error 28) at path "x"')

    assert "cannot write models/adapter: No space left on device" in failure(capsys, main)

    def other(params):
        with naming(Path("models/adapter"), Path("models/adapter.partial")):
            raise PermissionError(errno.EACCES, "x", "models/adapter.partial/adapter_config.json")

    assert "cannot read or write models/adapter: Permission denied" in failure(capsys, other)


@pytest.mark.parametrize(
    "error",
    [
        OSError("no number"),
        OSError(errno.ENOENT, "x"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        RuntimeError("no such op (os error 28)"),
        SafetensorError("HeaderTooSmall"),
    ],
    ids=repr,
)
def test_other_errors_keep_their_traceback(error):
    with pytest.raises(type(error)):
        stage.run("some_stage", fail(error))


@pytest.mark.parametrize(
    "exhaust",
    [
        lambda params: torch.empty(10**15),
        lambda params: bytearray(10**15),
        fail(MemoryError()),
        fail(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB. GPU 0 has")),
        fail(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
        fail(OSError(errno.ENOMEM, "Cannot allocate memory")),
        fail(RuntimeError("unable to mmap 19951816 bytes from file <a>: Cannot allocate memory (12)")),
        fail(ImportError("libtorch_cpu.so: failed to map segment from shared object")),
    ],
)
def test_too_little_memory_names_the_params_to_lower(capsys, exhaust):
    line = failure(capsys, exhaust)
    assert re.match(r"some_stage: out of memory( \(.*\))?: lower ", line)
    for key in ("training.per_device_train_batch_size", "prompt.max_length", "generation.batch_size"):
        assert key in line
    assert "generation.max_new_tokens" in line
