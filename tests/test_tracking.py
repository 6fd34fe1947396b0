"""Tracking follows WANDB_MODE, else whether there is a key, which it never reads out; it asks for no account."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from stages.common import tracking

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder without a key, and an environment that says nothing about W&B."""
    with mock.patch.dict(os.environ, {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}):
        for name in [name for name in os.environ if name.startswith("WANDB") or name == "NETRC"]:
            del os.environ[name]
        yield tmp_path


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


@pytest.mark.parametrize("chosen", ["online", "offline", "disabled"])
@pytest.mark.parametrize("key", [KEY, None])
def test_the_chosen_mode_wins_over_the_key(chosen, key, home):
    os.environ["WANDB_MODE"] = chosen
    if key:
        os.environ["WANDB_API_KEY"] = key
        netrc(home)
    assert tracking.mode() == chosen
    assert os.environ["WANDB_MODE"] == chosen


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


@pytest.mark.parametrize(("mode", "finished"), [("online", 1), ("offline", 1), ("disabled", 0)])
def test_a_run_that_was_begun_is_closed(mode, finished, monkeypatch):
    client = SimpleNamespace(finish=mock.Mock())
    monkeypatch.setitem(sys.modules, "wandb", client)
    tracking.finish(mode)
    assert client.finish.call_count == finished
    assert tracking.report_to(mode) == ["wandb"] * finished
