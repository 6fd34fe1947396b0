"""Tracking follows WANDB_MODE, else whether there is a key, which it never reads out; it asks for no account."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from stages.files.errors import UserError
from stages.runtime import stage, tracking
from tests.conftest import ROOT

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder without a key, and an environment that says nothing about W&B."""
    with mock.patch.dict(os.environ, {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}):
        for name in [name for name in os.environ if name.startswith("WANDB") or name == "NETRC"]:
            del os.environ[name]
        yield tmp_path


@pytest.fixture
def client(monkeypatch):
    """The W&B client, faked."""
    fake = SimpleNamespace(init=mock.Mock(), finish=mock.Mock(), teardown=mock.Mock(), run=None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def netrc(folder: Path, host="api.wandb.ai", name=".netrc", rights=0o600):
    path = folder / name
    path.write_text(f"machine other.example\n  login a\n  password b\nmachine {host}\n  login user\n  password {KEY}\n")
    path.chmod(rights)
    return path


def test_without_a_key_it_is_offline():
    assert tracking.mode() == "offline"
    assert os.environ["WANDB_MODE"] == "offline"


def test_an_empty_key_is_none():
    os.environ["WANDB_API_KEY"] = ""
    assert tracking.mode() == "offline"


def test_with_a_key_in_the_environment_it_is_online():
    os.environ["WANDB_API_KEY"] = KEY
    assert tracking.mode() == "online"
    assert os.environ["WANDB_MODE"] == "online"


@pytest.mark.parametrize("rights", [0o600, 0o644])
def test_with_a_key_in_netrc_it_is_online(rights, home):
    netrc(home, rights=rights)
    assert tracking.mode() == "online"


def test_netrc_may_lie_elsewhere(home):
    os.environ["NETRC"] = str(netrc(home, name="elsewhere"))
    assert tracking.mode() == "online"


def test_a_key_for_another_host_is_none(home):
    netrc(home, host="wandb.example")
    assert tracking.mode() == "offline"
    os.environ.pop("WANDB_MODE")
    os.environ["WANDB_BASE_URL"] = "https://wandb.example"
    assert tracking.mode() == "online"


@pytest.mark.parametrize("content", [b"machine", b"nonsense\n", b"\xff\xfe\x00", b""])
def test_a_netrc_that_cannot_be_read_is_none(content, home):
    (home / ".netrc").write_bytes(content)
    assert tracking.mode() == "offline"


@pytest.mark.parametrize(
    ("chosen", "effective"),
    [("online", "online"), ("run", "online"), ("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_the_chosen_mode_wins_over_the_key(chosen, effective, home):
    os.environ["WANDB_MODE"] = chosen
    if effective != "online":
        assert tracking.mode() == effective
        os.environ["WANDB_MODE"] = chosen
    os.environ["WANDB_API_KEY"] = KEY
    assert tracking.mode() == effective
    assert os.environ["WANDB_MODE"] == effective


@pytest.mark.parametrize("chosen", ["bogus", "ONLINE", " ", "off\nline"])
def test_a_mode_that_there_is_not_is_one_clear_line(chosen):
    os.environ["WANDB_MODE"] = chosen
    with pytest.raises(UserError, match=r"^WANDB_MODE: .*: choose online, offline or disabled$"):
        tracking.mode()


def test_online_without_a_key_is_one_clear_line(home):
    os.environ["WANDB_MODE"] = "online"
    netrc(home, host="elsewhere.example")
    line = "^WANDB_MODE: online: there is no key for https://api.wandb.ai: run `wandb login`, .* WANDB_MODE to offline$"
    with pytest.raises(UserError, match=line):
        tracking.mode()


def test_an_empty_mode_is_no_choice():
    os.environ["WANDB_MODE"] = ""
    assert tracking.mode() == "offline"


def test_the_key_goes_nowhere(home, capfd):
    netrc(home)
    assert KEY not in tracking.mode()
    del os.environ["WANDB_MODE"]
    os.environ["WANDB_API_KEY"] = KEY
    before = {name for name, value in os.environ.items() if KEY in value}
    assert KEY not in tracking.mode()
    assert {name for name, value in os.environ.items() if KEY in value} == before
    assert KEY not in "".join(capfd.readouterr())


def test_what_the_user_set_stays():
    os.environ["WANDB_PROJECT"] = "mine"
    tracking.mode()
    assert os.environ["WANDB_PROJECT"] == "mine"


def test_deciding_does_not_import_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise
    os.environ["WANDB_API_KEY"] = KEY
    tracking.mode()
    tracking.finish("disabled")


@pytest.mark.parametrize(("mode", "begun"), [("online", 1), ("offline", 1), ("disabled", 0)])
def test_a_run_is_begun_and_closed(mode, begun, client):
    os.environ["WANDB_PROJECT"] = "mine"
    assert tracking.start(mode) == mode
    assert client.init.call_args_list == [mock.call(project="mine", mode=mode)] * begun
    tracking.finish(mode)
    assert client.finish.call_count == begun


@pytest.mark.parametrize(("mode", "count"), [("online", 1), ("offline", 1), ("disabled", 0)])
def test_the_trainer_gets_a_guarded_callback_for_a_run(mode, count):
    assert [type(one) for one in tracking.callbacks(mode)] == [tracking.Guarded] * count


def test_what_cannot_be_reached_is_kept_offline(client, capsys):
    tracking.mode()
    client.init.side_effect = [ConnectionError("no\nnetwork"), None]
    assert tracking.start("online") == "offline"
    assert capsys.readouterr().out == "W&B: no network: tracking is not online, and training goes on\n"


def test_a_client_that_does_not_work_at_all_is_left_out(client, capsys):
    tracking.mode()
    client.init.side_effect = OSError(28, "No space left on device")
    assert tracking.start("offline") == "disabled"
    assert capsys.readouterr().out.count("\n") == 1
    assert client.teardown.called  # or it would try again at exit, and end in a traceback


def test_a_callback_that_failed_is_said_once_and_not_called_again(capsys):
    callback = mock.Mock()
    callback.on_log.side_effect = [7, BrokenPipeError()]
    guarded = tracking.Guarded(callback)
    assert [guarded.on_log(1, logs={}), guarded.on_log(2), guarded.on_log(3), guarded.on_train_end()] == [
        7,
        *[None] * 3,
    ]
    assert callback.on_log.call_count == 2
    assert not callback.on_train_end.called
    assert capsys.readouterr().out == "W&B: BrokenPipeError: training goes on without it\n"


def test_an_interruption_is_no_failure_of_tracking():
    with pytest.raises(KeyboardInterrupt):
        tracking.Guarded(SimpleNamespace(on_log=mock.Mock(side_effect=KeyboardInterrupt))).on_log()


def test_an_upload_that_does_not_end_is_left_for_later(client, capsys):
    client.finish.side_effect = TimeoutError("Timed out")
    client.teardown.side_effect = AssertionError
    tracking.finish("online")
    line = "W&B: Timed out: `wandb sync wandb/latest-run` uploads what is missing\n"
    assert capsys.readouterr().out == line
    assert client.teardown.called


def test_the_client_is_told_to_wait_for_no_network_for_ever():
    os.environ["WANDB_INIT_TIMEOUT"] = "7"
    tracking.mode()
    assert os.environ["WANDB_INIT_TIMEOUT"] == "7"
    assert float(os.environ["WANDB_FINISH_TIMEOUT"]) > 0


@pytest.mark.parametrize(("run", "closed"), [(None, []), ("a run", [mock.call(exit_code=143)])])
def test_an_interrupted_run_ends_with_the_exit_code(client, run, closed):
    with mock.patch.object(stage, "closing", []):
        tracking.start("offline")
        client.run = run
        (close,) = stage.closing
    close(143)
    assert client.finish.call_args_list == closed


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_writes_what_the_client_holds_back(tmp_path, sent):
    code = f"import os, signal, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom stages.runtime import stage, tracking\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs are born deaf to it
    code += "def main(params):\n    tracking.start(tracking.mode())\n    import wandb\n"
    code += f"    wandb.log({{'a_curve': 1}})\n    os.kill(os.getpid(), {sent:d})\n"
    code += "stage.params.load = dict\nstage.run('some_stage', main)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (128 + sent, "")
    assert done.stderr == "some_stage: interrupted: `dvc repro` goes on from here\n"
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"a_curve" in run.read_bytes()
