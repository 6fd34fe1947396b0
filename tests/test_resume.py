"""A stage that is killed at any moment goes on when it is run again, and ends in the bytes of one left alone."""

import contextlib
import errno
import os
import random
import shutil
import signal
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from transformers import TrainerCallback

from stages import baseline_infer, finetune_lora, post_infer
from stages.data.prompts import Formatter
from stages.files import records
from stages.generate import likelihood
from stages.runtime import identity, resume, stage
from stages.train import checkpoints
from tests.conftest import fork, save_adapter

ROWS = [
    {"id": str(n), "set": "train", "question": f"Question {n}?", "reasoning": "why " * n, "response": f"Answer {n}."}
    for n in range(1, 11)
]
STAGES = {"baseline_infer": baseline_infer, "finetune_lora": finetune_lora, "post_infer": post_infer}
WRITES = ["fsync", "replace", "rename", "mkdir", "rmdir", "unlink"]


@pytest.fixture(scope="module")
def begin(tiny, tiny_tokenizer, tmp_path_factory):
    """What the stages read."""
    folder = tmp_path_factory.mktemp("begin")
    with contextlib.chdir(folder):
        examples = Formatter(tiny_tokenizer, tiny.prompt).examples(ROWS)
        records.write(finetune_lora.TRAIN, examples)
        records.write(finetune_lora.HELDOUT, examples)
        records.write(baseline_infer.PROMPTS[1], [])
        save_adapter(tiny, post_infer.ADAPTER)
    return folder


@pytest.fixture(scope="module")
def alone(begin, tiny, tmp_path_factory):
    """What each stage leaves that nothing interrupts, and the seconds that it takes."""
    found = {}
    for name in STAGES:
        with contextlib.chdir(shutil.copytree(begin, tmp_path_factory.mktemp("alone") / name)):
            since = time.perf_counter()
            assert ended(start(name, tiny)) == 0, Path("log").read_text()
            found[name] = outputs(), time.perf_counter() - since
    return found


@pytest.fixture
def workspace(begin, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(begin, tmp_path, dirs_exist_ok=True))
    return tmp_path


def changed(tiny, section="training", **values):
    return tiny.model_copy(update={section: getattr(tiny, section).model_copy(update=values)})


def outputs():
    """All that stages wrote, by path; costs are no output."""
    found = [path for folder in ("data/answers", "models", "metrics") for path in Path(folder).rglob("*")]
    return {str(path): path.read_bytes() for path in found if path.is_file() and "costs" not in path.parts}


def left():
    return [path for path in resume.HOME.rglob("*") if path.suffix != ".lock" and path.parent != resume.HOME]


def start(name, params, prepare=lambda: None):
    """Run a stage in a process of its own; returns its id when it has begun, and signals find the stage's handlers."""
    waiting, begun = os.pipe()
    if process := fork():
        os.close(begun)
        os.read(waiting, 1)
        os.close(waiting)
        return process
    code = 70
    try:
        sys.stdout = sys.stderr = open("log", "a", buffering=1)  # noqa: SIM115 - until the process ends
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stage.params = SimpleNamespace(load=lambda: os.write(begun, b".") and params)
        prepare()
        stage.run(name, STAGES[name].main)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process):
    """The exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def die_at(count):
    """Be killed at a write, or right after it: what renames, removes or makes a file durable counts."""

    def prepare():
        waiting = count

        def dying(call):
            def write(*given, **named):
                nonlocal waiting
                waiting -= 1
                if waiting == 0 and count % 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = call(*given, **named)
                if waiting == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return write

        for name in WRITES:
            setattr(os, name, dying(getattr(os, name)))

    return prepare


@pytest.mark.parametrize("name", STAGES)
def test_killed_at_any_write_it_ends_in_the_same_bytes(workspace, tiny, alone, name):
    kills, chance = 0, random.Random(name)
    latest = 100 if name == "finetune_lora" else 20
    for _ in range(60):
        code = ended(start(name, tiny, die_at(chance.randint(1, latest))))
        if code == 0 and kills >= 3:
            break
        assert code in (0, -signal.SIGKILL), Path("log").read_text()
        kills += code != 0
    else:
        pytest.fail("never came to its end")
    assert outputs() == alone[name][0]
    assert left() == []


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_any_time_changes_no_byte(workspace, tiny, alone, name, sent, code):
    whole, lasts = alone[name]
    chance, codes = random.Random(f"{name} {sent}"), []
    for _ in range(20):  # on a busy machine the first run is no measure of the next: it is corrected on the way
        process = start(name, tiny)
        time.sleep(chance.random() * lasts)
        os.kill(process, sent)
        codes.append(ended(process))
        assert codes[-1] in (0, code), Path("log").read_text()
        log = Path("log").read_text()
        assert "Traceback" not in log
        assert log.count(f"{name}: interrupted: `dvc repro` goes on from here\n") == sum(one > 0 for one in codes)
        if codes.count(code) == 3:
            break
        lasts *= 0.7 if codes[-1] == 0 else 1
    assert codes.count(code) >= 2
    assert ended(start(name, tiny)) == 0
    assert outputs() == whole
    assert left() == []


class Interrupt(TrainerCallback):
    """Ctrl-C after the given counts of steps, one a run; counts all steps."""

    def __init__(self, *after):
        self.after, self.steps, self.total = list(after), 0, 0

    def on_train_begin(self, *_, **__):
        self.steps = 0

    def on_step_end(self, args, state, control, **_):
        self.steps += 1
        self.total += 1
        self.last = state.max_steps
        if self.after and self.steps == self.after[0]:
            self.after.pop(0)
            raise KeyboardInterrupt


@pytest.fixture
def indeterminate():
    """Leave no test after this one with the switches of full_determinism."""
    before = dict(os.environ)
    yield
    torch.use_deterministic_algorithms(False)
    os.environ.clear()
    os.environ.update(before)


def train(params, monkeypatch, *after):
    """Train with interruptions; returns the callback that made them."""
    interrupt = Interrupt(*after)
    monkeypatch.setattr(finetune_lora.tracking, "callbacks", lambda mode: [interrupt])
    for _ in after:
        with pytest.raises(KeyboardInterrupt):
            finetune_lora.main(params)
    finetune_lora.main(params)
    return interrupt


@pytest.mark.parametrize(
    "training",
    [
        {},
        # With 20 steps, these kills have it go on within the second epoch, at its end, and within the third.
        {"train_sampling_strategy": "group_by_length", "logging_steps": 5, "kills": (1, 8, 5, 3)},
        {"packing": True, "num_train_epochs": 8},
        {"gradient_accumulation_steps": 2, "logging_steps": 7},
        {"eval_strategy": "epoch", "logging_steps": 3, "kills": (1, 8, 5)},
        {"eval_strategy": "steps", "eval_steps": 4, "lr_scheduler_type": "linear", "weight_decay": 0.1},
        {"max_steps": 14, "warmup_steps": 3, "max_grad_norm": 0.1},
        {"num_train_epochs": 11, "per_device_train_batch_size": 10},
        {"optim": "adamw_torch_fused", "padding_free": True},
        {"dtype": "bfloat16"},
        {"lora_dropout": 0.3},
        {"full_determinism": True},
        pytest.param(
            {"optim": "adamw_8bit", "r": 256, "full_determinism": True},  # of 4,096 numbers and more, 8 bits are kept
            marks=pytest.mark.skipif(not find_spec("bitsandbytes"), reason="needs bitsandbytes: make install-gpu"),
        ),
    ],
    ids=str,
)
def test_a_training_that_goes_on_ends_in_the_same_bytes(workspace, tiny, monkeypatch, training, indeterminate):
    shape = {"per_device_train_batch_size": 2, "num_train_epochs": 4} | training
    kills = shape.pop("kills", (1, 5, 2))
    params = tiny
    for section, name in (("model", "dtype"), ("lora", "lora_dropout"), ("lora", "r")):
        if name in shape:
            params = changed(params, section, **{name: shape.pop(name)})
    params = changed(params, **shape)
    train(params, monkeypatch)
    whole = outputs()
    done = train(params, monkeypatch, *kills)
    assert outputs() == whole
    assert left() == []
    every = max(1, int(done.last * checkpoints.SHARE))
    assert done.total - done.last <= len(kills) * every


def test_a_tenth_of_the_training_is_repeated_at_most(workspace, tiny, monkeypatch):
    done = train(changed(tiny, per_device_train_batch_size=1, num_train_epochs=4), monkeypatch, 7, 10, 13)
    assert done.last == 40
    assert 40 < done.total <= 40 + 3 * 4


def test_a_stage_that_dvc_has_not_recorded_is_not_run_anew(workspace, tiny, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "finetune_lora")
    records.write_text(resume.LOCK, "stages: {}\n")
    params = changed(tiny, per_device_train_batch_size=1, num_train_epochs=4)
    assert train(params, monkeypatch).total == 40
    whole = outputs()
    resume.tidy()  # as the next stage does, were it not killed before DVC has recorded this one
    assert 0 < train(params, monkeypatch).total <= 4
    assert outputs() == whole

    records.write_text(resume.LOCK, "stages: {}\n")  # recorded, with the same result
    assert train(params, monkeypatch).total == 40
    assert outputs() == whole
    records.write_text(resume.LOCK, "stages: {}  # another\n")
    resume.tidy()
    assert left() == []


def test_what_a_stage_at_work_keeps_is_left_to_it(workspace, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "finetune_lora")
    with resume.checkpoint_folder("finetune_lora", [], []) as folder:
        (folder / "first").write_text("half")
    records.write_text(resume.LOCK, "stages: {}\n")
    with FileLock(resume.HOME / "finetune_lora.lock"):
        resume.tidy()
        assert (folder / "first").exists()
    resume.tidy()
    assert not folder.exists()


def test_without_room_for_a_mark_a_stage_ends_as_if_alone(workspace, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "finetune_lora")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume.records, "write_text", full)
    with resume.checkpoint_folder("finetune_lora", [], []) as folder:
        (folder / "first").write_text("half")
    assert folder.exists()


def checkpoint(tiny):
    """The folder that a training leaves which was interrupted after five steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune_lora.tracking, "callbacks", lambda mode: [Interrupt(5)])
        with pytest.raises(KeyboardInterrupt):
            finetune_lora.main(tiny)
    (folder,) = Path(".cache/resume/finetune_lora").glob("*/step-*")
    assert not list(folder.parent.glob("checkpoint-*"))
    return folder


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    "name", ["training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", checkpoints.EXTRA]
)
def test_no_code_in_a_checkpoint_is_executed(workspace, tiny, name):
    folder = checkpoint(tiny)
    assert (folder / name).exists()
    torch.save(Payload(), folder / name)
    folder.rename(folder.with_name(f"step-00000004-{resume.digest(folder)}"))
    refused = pytest.raises(UnpicklingError, match="Weights only load failed")
    with contextlib.nullcontext() if name == "training_args.bin" else refused:  # which is written, and never read
        finetune_lora.main(tiny)
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json", "extra.pt"])
def test_a_damaged_checkpoint_is_not_gone_on_from(workspace, tiny, capsys, alone, name):
    path = checkpoint(tiny) / name
    path.write_bytes(path.read_bytes()[:500])
    finetune_lora.main(tiny)
    assert f"{path.parent}: damaged: made again\n" in capsys.readouterr().out
    assert outputs() == alone["finetune_lora"][0]


@pytest.mark.parametrize("what", ["params", "data", "code", "library", "processor"])
def test_what_another_configuration_left_is_removed_and_not_used(workspace, tiny, monkeypatch, what):
    used, inputs = [tiny.model, 1.0], [finetune_lora.TRAIN]

    def leave(name, expected):
        with (
            contextlib.suppress(KeyboardInterrupt),
            resume.checkpoint_folder("finetune_lora", used, inputs) as folder,
        ):
            assert [path.name for path in folder.iterdir()] == expected
            (folder / name).write_text("half")
            raise KeyboardInterrupt

    leave("first", [])
    leave("first", ["first"])
    match what:
        case "params":
            used[1] = 0.5
        case "data":
            records.write(finetune_lora.TRAIN, [{"id": "1"}])
        case "code":
            monkeypatch.setattr(identity, "code_of", lambda stage: [])
        case "library":
            monkeypatch.setattr(identity, "version", lambda name: "0")
        case "processor":
            monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "other")
    leave("second", [])
    assert [path.name for path in left() if path.is_file()] == ["second"]


def test_another_learning_rate_takes_up_nothing(workspace, tiny, monkeypatch):
    other = changed(tiny, learning_rate=1e-3)
    finetune_lora.main(other)
    whole = outputs()
    monkeypatch.setattr(finetune_lora.tracking, "callbacks", lambda mode: [interrupt])
    interrupt = Interrupt(3)
    with pytest.raises(KeyboardInterrupt):
        finetune_lora.main(tiny)
    assert any(path.name.startswith(("step-00000002", "step-00000003")) for path in left())
    interrupt.total = 0
    finetune_lora.main(other)
    assert interrupt.total == interrupt.last
    assert outputs() == whole


def test_a_second_process_waits_for_the_first(workspace, tiny):
    def slowly():
        losses = likelihood.reference_losses
        likelihood.reference_losses = lambda *given: time.sleep(4) or losses(*given)

    first = start("baseline_infer", tiny, slowly)
    processes = [first, *(start("baseline_infer", tiny) for _ in range(2))]
    assert [ended(process) for process in processes] == [0, 0, 0]
    assert "baseline_infer: another process is at work here: waiting for its end" in Path("log").read_text()
    assert left() == []
