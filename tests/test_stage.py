"""A stage ends with one line that says what came of it, or with a line for each problem; its cost is written aside."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import indent
from unittest import mock

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from stages.files import records
from stages.files.errors import UserError, one_line, path_in_errors
from stages.runtime import costs as costs_module
from stages.runtime import stage
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
    assert costs.keys() == {"seconds", "memory_gb"}
    assert 0 <= costs["seconds"] < 60
    assert 0.01 < costs["memory_gb"] < 100
    assert [path.name for path in (workplace / "metrics").rglob("*") if path.is_file()] == ["some_stage.json"]


def test_an_error_begins_a_line_of_its_own_after_a_progress_bar(capsys):
    from tqdm import tqdm

    bar = tqdm(total=3)  # held by the traceback of a real error, and so still open
    with pytest.raises(SystemExit):
        stage.run("some_stage", fail(UserError("a.b: wrong")))
    assert capsys.readouterr().err.endswith("\nsome_stage: a.b: wrong\n")
    bar.close()


def interrupted(workplace, main, sent=signal.SIGTERM):
    """A stage in a process of its own, which has ended; `main` is the body of its function, and `send()` signals it."""
    code = f"import sys; sys.path[:0] = ['.', {str(ROOT)!r}]\nimport os, signal\nfrom stages.runtime import stage\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs are born deaf to it
    code += f"def send(*_):\n    os.kill(os.getpid(), {sent:d})\n"
    code += f"def main(params):\n{indent(main, '    ')}\n    return 'went on'\nstage.run('some_stage', main)\n"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=workplace)


SWALLOWING = {
    "nothing": "send()",
    "an import that tries": "import swallowing",
    "a bare except": "try:\n    send()\nexcept BaseException:\n    pass",
    "another error": "try:\n    send()\nexcept BaseException:\n    raise ValueError from None",
    "a destructor": "class One:\n    __del__ = send\nOne()",
    "a callback of compiled code": "import ctypes\nctypes.CFUNCTYPE(None)(send)()",
    "an attribute that compiled code looks for": "class One:\n    missing = property(send)\nhasattr(One(), 'missing')",
    "a finalizer": "import weakref\nclass One:\n    pass\nweakref.finalize(One(), send)",
    "another thread": "import threading\none = threading.Thread(target=send)\none.start()\none.join()",
}


@pytest.mark.parametrize("main", SWALLOWING.values(), ids=SWALLOWING)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_nothing_swallows_a_signal(workplace, sent, main):
    """A library's import did, and so did compiled code that made a ValueError of it: the stage went on, or failed."""
    Path("swallowing.py").write_text("from __main__ import send\ntry:\n    send()\nexcept BaseException:\n    pass\n")
    done = interrupted(workplace, main, sent)
    assert done.returncode == 128 + sent
    assert done.stderr == "some_stage: interrupted: `dvc repro` goes on from here\n"
    assert done.stdout == ""
    assert not (workplace / "metrics").exists()


def test_what_was_printed_before_a_signal_is_kept_and_bars_are_ended(workplace):
    main = "from tqdm import tqdm\nbar = tqdm(total=2)\nprint('before')\nsend()"
    with mock.patch.dict(os.environ, PYTHONUNBUFFERED=""):
        done = interrupted(workplace, main)
    assert done.stdout == "before\n"
    assert done.stderr.endswith("\nsome_stage: interrupted: `dvc repro` goes on from here\n")


def test_what_cannot_be_closed_holds_no_stage(workplace):
    main = "import time\nstage.PATIENCE = 3\nstage.closing.append(lambda code: 1 / 0)\n"
    main += "stage.closing.append(lambda code: print(code, flush=True))\n"
    main += "stage.closing.append(lambda code: time.sleep(1000))\nsend()"
    done = interrupted(workplace, main)
    assert (done.returncode, done.stdout) == (143, "143\n")


def test_a_reader_that_has_stopped_holds_no_stage(workplace):
    main = "reading, writing = os.pipe()\nos.set_blocking(writing, False)\n"
    main += "try:\n    while True:\n        os.write(writing, b'x' * 4096)\nexcept BlockingIOError:\n    pass\n"
    main += "os.set_blocking(writing, True)\nsys.stdout = open(writing, 'w')\nprint('unread')\nsend()"
    begin = time.monotonic()
    assert interrupted(workplace, main).returncode == 143
    assert time.monotonic() - begin < stage.PATIENCE


def test_libraries_remove_their_temporary_folders(workplace):
    main = "import tempfile\nprint((held := tempfile.TemporaryDirectory()).name)\nsend()"
    done = interrupted(workplace, main)
    assert done.returncode == 143
    assert not Path(done.stdout.strip()).exists()


def test_a_signal_after_the_last_line_is_one_line_too(workplace):
    """Python takes a while to end."""
    done = interrupted(
        workplace, "import atexit\natexit.register(lambda one=[send]: one and one.pop()())", signal.SIGINT
    )
    assert (done.returncode, done.stderr) == (130, "some_stage: interrupted: `dvc repro` goes on from here\n")
    assert done.stdout.startswith("some_stage: went on")


def test_a_second_signal_waits_for_nothing(workplace):
    done = interrupted(workplace, "stage.closing.append(send)\nsend()")
    assert done.returncode == -signal.SIGTERM
    assert done.stderr.count("interrupted") == 1


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
        assert "1nel" not in one_line(error)
        assert "[HF_TOKEN]" in one_line(error)


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


def test_a_mistake_of_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        stage.run("some_stage", fail(ZeroDivisionError()))


def test_a_failure_keeps_the_costs_of_the_last_success(workplace):
    stage.run("some_stage", lambda params: "done")
    path = workplace / "metrics/costs/some_stage.json"
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        stage.run("some_stage", fail(UserError("no")))
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
        with path_in_errors(Path("models/adapter"), Path("models/adapter.partial")):
            raise SafetensorError('I/O error: No space left on device (os error 28) at path "x"')

    assert "cannot write models/adapter: No space left on device" in failure(capsys, main)

    def other(params):
        with path_in_errors(Path("models/adapter"), Path("models/adapter.partial")):
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
