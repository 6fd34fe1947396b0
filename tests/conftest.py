"""Shared fixtures: the params of a preset, and the tiny model that knows nothing."""

import contextlib
import copy
import gc
import os
import pickle
import shutil
import signal
import threading
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace

import pytest
from filelock import FileLock
from hypothesis import settings
from tqdm import tqdm

from tests.clones import commit, run, working_tree

os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="disabled", TOKENIZERS_PARALLELISM="false")
settings.register_profile("repeatable", derandomize=True)
ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """Have hypothesis draw the same values every time, where nobody asks for others (`make soak` does)."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that the others fill up the workers: each file is one worker's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.name != "test_resume.py"))


@pytest.fixture(scope="module", autouse=True)
def _frozen():
    """Spare garbage collection the half million objects of libraries: statsmodels' holm collects at every call."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _signals():
    """A stage that runs in the tests' own process says what signals do to it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tiny():
    """The params of presets/tiny.yaml merged into the committed ones."""
    from stages import params
    from stages.params.__main__ import merged

    return params.check(merged("tiny"))


@pytest.fixture(scope="session")
def committed():
    """The committed values as plain data, whatever preset is in use."""
    from stages.params.__main__ import merged

    with contextlib.chdir(ROOT):
        return {**merged("cpu"), "evaluation_sets": []}


@pytest.fixture
def values(committed):
    """The committed values as plain data, for one test to change."""
    return copy.deepcopy(committed)


@pytest.fixture(scope="session")
def committed_text():
    """The text of params.yaml with its preset cpu."""
    from stages.params.__main__ import edited

    with contextlib.chdir(ROOT):
        return edited("cpu")[0]


@pytest.fixture
def workplace(committed_text, tmp_path, monkeypatch):
    """An empty repository root with params.yaml, its preset cpu, and the presets, as the working directory."""
    (tmp_path / "params.yaml").write_text(committed_text, encoding="utf-8")
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fork():
    """Fork, with another lock for progress bars in the child: tqdm's own is a semaphore that a killed child keeps."""
    if not (process := os.fork()):
        bars, lock = [tqdm], threading.RLock()
        while bars:  # each class of bars may hold a lock of its own
            bars.extend((bar := bars.pop()).__subclasses__())
            bar._lock = lock
    return process


def save_adapter(params, folder):
    """An adapter that changes answers, without a training."""
    import torch

    from stages.model import adapter, load

    tuned = load.for_training(params.model, params.lora, 1, False)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    adapter.save(tuned, folder)


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny):
    """A byte tokenizer that adds a BOS token, as Llama's does."""
    from stages.model import base_model

    return base_model.tokenizer(tiny.model)


@pytest.fixture(scope="session")
def base(tiny):
    """The tiny model without an adapter, as it answers."""
    from stages.model import load

    return load.for_answers(tiny.model, None, 1.0)


@pytest.fixture(scope="session")
def prompts(tiny_tokenizer):
    """Six uneven prompts as token ids."""
    texts = [
        "Short.",
        "A somewhat longer question about fever?",
        "x" * 150,
        "Two\nlines",
        "é" * 40,
        "Last one: urea 9.2",
    ]
    return tiny_tokenizer(texts).input_ids


@pytest.fixture(scope="session")
def clones(tmp_path_factory, worker_id):
    """What `first_clone` made, once for all workers of pytest-xdist; tests change copies alone."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "clones"
    with FileLock(f"{place}.lock"):
        if not (made := place.with_suffix(".pickle")).exists():
            made.write_bytes(pickle.dumps(first_clone(place)))
        return pickle.loads(made.read_bytes())


def first_clone(place):
    """A clone after a `dvc repro` of the tiny preset: it was dirty, knew secrets and tracked with W&B's client."""
    home = place / "home"
    home.mkdir(parents=True)
    secrets = {"HF_TOKEN": f"hf_{token_hex(17)}", "WANDB_API_KEY": token_hex(20)}
    mine = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": None, "PYTHONHASHSEED": "1", **secrets}
    first = working_tree(place / "first")
    run(first, "python", "-m", "stages.params", "use", "tiny")
    (first / "staged.txt").write_text("staged")
    run(first, "git", "add", "staged.txt")
    (first / "unknown.txt").write_text("unknown")
    dirty = run(first, "git", "status", "--porcelain").stdout.splitlines()
    done = run(first, "dvc", "repro", **mine, WANDB_MODE="offline")
    changed = run(first, "git", "status", "--porcelain").stdout.splitlines()
    commit(first, "tiny")
    return SimpleNamespace(first=first, home=home, secrets=secrets, done=done, dirty=sorted(dirty), changed=changed)
