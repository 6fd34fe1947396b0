"""What surrounds a run may fail: the stage says in one line what is wrong, exits with 1 and loses nothing."""

import contextlib
import importlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages import fetch_dataset, params
from stages.runtime import resume, stage
from tests.clones import BIN, outputs, run
from tests.conftest import fork

pytestmark = pytest.mark.slow
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its address space")
LIMIT = 180  # seconds that a stage may take to give up, on a busy machine


@pytest.fixture
def place(clones, tmp_path, monkeypatch):
    """A copy of the first clone after its run, as the working directory."""
    folder = tmp_path / "place"
    shutil.copytree(clones.first, folder, ignore=shutil.ignore_patterns(".git", "wandb", "tests"), symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    edit(max_steps=1)
    return folder


def edit(**values):
    """Change values of params.yaml, each by the first key of that name."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^( +{key}:) [^\n]*$", rf"\1 {value}", text, count=1)
        assert count, key
    Path("params.yaml").write_text(text, encoding="utf-8")


def forked(name, prepare=lambda: None):
    """Run a stage in a process of its own that has its libraries already."""
    with open("forked.out", "w+") as out, open("forked.err", "w+") as err:
        if not (process := fork()):
            code = 70
            try:
                sys.stdout, sys.stderr = out, err
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                prepare()
                stage.run(name, importlib.import_module(f"stages.{name}").main)
                code = 0
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
            finally:
                out.flush()
                err.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return SimpleNamespace(returncode=code, stdout=Path(out.name).read_text(), stderr=Path(err.name).read_text())


def python(name, **environment):
    """Run a stage as DVC does."""
    return run(".", sys.executable, "-m", f"stages.{name}", check=False, **environment)


def one_line(done, name):
    """The one line of a stage that failed, without its name."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    said = re.findall(rf"\b{name}: (.*)", done.stderr)  # a bar may stand before it
    assert len(said) == 1, done.stderr
    return said[0]


def mounted(stack, *command):
    """Mount something until the stack is closed; the test is skipped where that is not allowed."""
    if os.getuid() or sys.platform != "linux":
        pytest.skip("mounting needs root, and Linux")
    done = subprocess.run(["mount", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "-l", command[-1]], check=True)


@contextlib.contextmanager
def full(folder, spare):
    """A disk of its own for a folder, with what is in it, full but for `spare` bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        before = shutil.copytree(folder, Path("before") / folder.name)
        mounted(stack, "-t", "tmpfs", "-o", "size=2m", "none", str(folder))
        shutil.copytree(before, folder, dirs_exist_ok=True)
        disk = os.statvfs(folder)
        (folder / "ballast").write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - spare))
        yield
        (folder / "ballast").unlink()


@pytest.mark.parametrize(
    ("name", "folder", "spare"),
    [
        ("fetch_dataset", "data/raw", 8192),
        ("fetch_dataset", "metrics", 0),
        ("format_prompts", "data/prompts", 8192),
        ("baseline_infer", "data/answers", 0),
        ("baseline_infer", ".cache/answers", 0),
        ("finetune_lora", "models", 8192),
        ("finetune_lora", ".cache/resume", 4096),
        ("finetune_lora", ".cache/resume", 80000),  # in optimizer.pt
        ("compare", "metrics", 8192),
    ],
)
def test_a_full_disk(place, name, folder, spare):
    before = outputs(place)
    if folder == ".cache/resume":
        edit(max_steps=3)  # so that it saves once
    if folder == ".cache/answers":
        shutil.rmtree(folder)
    with full(Path(folder), spare):
        line = one_line(forked(name), name)
        assert not list(Path(folder).rglob("*.partial*"))
        after = outputs(place)
        after.pop(f"{folder}/ballast", None)
    assert re.fullmatch(r"cannot write [^:]+: No space left on device: free some space, then `dvc repro` again", line)
    assert folder in line
    if folder != "metrics" and name != "finetune_lora":
        assert after == before
    if name == "baseline_infer":
        assert forked(name).returncode == 0
        assert outputs(place) == before


def test_a_full_cache_of_models(place, monkeypatch):
    before = outputs(place)
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(place / "models of mine"))
    with full(place / "models of mine", 8192):
        line = one_line(forked("format_prompts"), "format_prompts")
    assert "models of mine" in line
    assert "No space left on device" in line
    assert outputs(place) == before


def test_a_file_that_may_not_grow(place):
    """As where a disk is full, and without the right to mount one."""
    before = outputs(place)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    line = one_line(forked("fetch_dataset", limit), "fetch_dataset")
    assert line.startswith("cannot write ")
    assert line.endswith(": File too large: raise the limit (ulimit -f), then `dvc repro` again")
    assert outputs(place) == before


@contextlib.contextmanager
def read_only(folder):
    """A folder that cannot be written, for root neither."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if os.getuid():
            rights = folder.stat().st_mode
            folder.chmod(0o555)
            stack.callback(folder.chmod, rights)
        else:
            mounted(stack, "--bind", str(folder), str(folder))
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("fetch_dataset", "data/raw"),
        ("format_prompts", "metrics"),
        ("baseline_infer", ".cache/answers"),
        ("compare", "metrics"),
    ],
)
def test_a_read_only_folder(place, name, folder):
    before = outputs(place)
    with read_only(Path(folder)):
        line = one_line(forked(name), name)
        assert re.fullmatch(
            rf"cannot (write|read or write) .*{folder}.*: (Read-only file system|Permission denied): "
            "make it .*writable, then `dvc repro` again",
            line,
        )
        assert outputs(place) == before


@pytest.fixture(scope="module")
def without_hub(clones, tmp_path_factory):
    """What stages say that want a hub that cannot be reached: both wait, so they do beside the other tests."""
    begun = {}
    for name, section in (("fetch_dataset", "dataset"), ("format_prompts", "model")):
        place = tmp_path_factory.mktemp(name) / "place"
        shutil.copytree(clones.first, place, ignore=shutil.ignore_patterns(".git", "wandb", "tests"), symlinks=True)
        text = (place / "params.yaml").read_text(encoding="utf-8")
        changed = re.sub(rf"(?ms)^({section}:.*?^  source:) \w+", r"\1 hub", text)
        assert changed != text
        (place / "params.yaml").write_text(changed, encoding="utf-8")
        dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "0"}
        process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=place, env={**os.environ, **dead}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun[name] = process, place, outputs(place)
    yield begun
    for process, *_ in begun.values():
        process.kill()


@pytest.fixture(autouse=True)
def _waiting(without_hub):
    """Begin to wait for the hub with the first test."""


@pytest.mark.parametrize("change", ["backend: unsloth", "load_in_4bit: true", "use_liger_kernel: true"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_there_is_not(place, change):
    before = outputs(place)
    key, value = change.split(": ")
    edit(dtype="bfloat16", padding_free="true", **{key: value})
    line = one_line(forked("finetune_lora"), "finetune_lora")
    assert line.startswith(f"model.{change} needs a CUDA GPU, and there is none")
    assert outputs(place) == before


def test_what_a_failed_run_took_away_comes_back_from_the_cache(clones, tmp_path):
    """DVC removes a stage's outputs before it runs the stage: with the param set right again, nothing runs."""
    place = shutil.copytree(clones.first, tmp_path / "place", symlinks=True)
    before = outputs(place)
    text = (place / "params.yaml").read_text(encoding="utf-8")
    for section, wrong in (("dataset", "train_rows: 0"), ("lora", "r: 0")):
        key = wrong.split(":")[0]
        changed = re.sub(rf"(?ms)^({section}:.*?^  ){key}: \w+", rf"\1{wrong}", text, count=1)
        (place / "params.yaml").write_text(changed, encoding="utf-8")
        done = run(place, "dvc", "repro", check=False)
        assert done.returncode != 0
        assert f"params.yaml: {section}.{key}: 0: must be" in done.stderr
        (place / "params.yaml").write_text(text, encoding="utf-8")
        assert "Running stage" not in run(place, "dvc", "repro").stdout
        assert outputs(place) == before


def test_a_terminal_without_arrows(place):
    edit(max_steps=-1)
    before = outputs(place)
    done = python("compare", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u2212" in done.stdout
    assert outputs(place) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("out", [">&-", ">/dev/full", "| true", "2>&-"])
def test_a_summary_that_nobody_reads(place, out):
    before = outputs(place)
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m stages.fetch_dataset {out}"
    done = run(place, "bash", "-c", command, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(place) == before


def test_no_room_for_temporary_files(place, monkeypatch):
    before = outputs(place)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(place / "nowhere")])
    line = one_line(forked("fetch_dataset"), "fetch_dataset")
    assert line.startswith("no folder for temporary files can be written: free some space, or set TMPDIR")
    assert outputs(place) == before


def test_a_full_folder_for_temporary_files_is_named(place, monkeypatch):
    before = outputs(place)
    monkeypatch.setattr(tempfile, "tempdir", str(place / "temporary"))
    with full(place / "temporary", 4096):
        line = one_line(forked("fetch_dataset"), "fetch_dataset")
    assert line.startswith(f"cannot write {place}/temporary: No space left on device: free some space")
    assert outputs(place) == before


def test_nothing_is_left_in_the_folder_for_temporary_files(place, monkeypatch):
    """Not even by a kill: the rows that are not checked yet lie in a file without a name."""
    seen = []
    (place / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place / "temporary"))
    checked = fetch_dataset.without_leaks

    def looking(*given):
        seen.append(list((place / "temporary").iterdir()))
        return checked(*given)

    monkeypatch.setattr(fetch_dataset, "without_leaks", looking)
    fetch_dataset.main(params.load())
    assert seen == [[]]


@LINUX
def test_a_limit_that_no_library_fits_into(place):
    """Checked before one is loaded: NumPy's would try for ever."""
    before = outputs(place)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({250 * 2**20},) * 2); "
    code += "from stages import fetch_dataset; from stages.runtime import stage; "
    code += "stage.run('fetch_dataset', fetch_dataset.main)"
    line = one_line(run(place, sys.executable, "-c", code, check=False), "fetch_dataset")
    assert line == "out of memory: a limit of 262 MB is set (ulimit -v), and libraries alone take 1,000 MB: raise it"
    assert outputs(place) == before


def test_a_model_folder_that_is_damaged(place, tiny, monkeypatch):
    from stages.model import base_model

    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(place / "mine"))
    before = outputs(place)
    folder = base_model.folder(tiny.model)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    line = one_line(forked("baseline_infer"), "baseline_infer")
    assert line.startswith(f"model folder {folder}: cannot be loaded (SafetensorError): ")
    assert line.endswith(": remove it, then `dvc repro` makes it again")
    assert outputs(place) == before
    shutil.rmtree(folder)
    assert forked("baseline_infer").returncode == 0


def test_a_wrong_hash_of_the_model(place):
    before = outputs(place)
    edit(sha256='"' + "0" * 64 + '"')
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("source: random", "source: package"))
    line = one_line(forked("format_prompts"), "format_prompts")
    assert re.fullmatch(r"model\.package\.sha256: \S+ has [0-9a-f]{64}, params\.yaml says 0{64}: install .*", line)
    assert outputs(place) == before


@LINUX
def test_too_little_memory(place, base):
    """The room that is left once the libraries are there: at some amount of it the stage works."""
    before = outputs(place)

    def limit(megabytes):
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + megabytes * 2**20,) * 2)

    codes = []
    edit(max_new_tokens=900, batch_size=8, chunk_size=8, hidden_size=512)
    for megabytes in (24, 60):
        done = forked("baseline_infer", lambda megabytes=megabytes: limit(megabytes))
        codes.append(done.returncode)
        if done.returncode:
            assert one_line(done, "baseline_infer").startswith("out of memory"), done.stderr
            assert outputs(place) == before
    assert codes[0] == 1


def test_tracking_that_cannot_be_reached(place):
    """Training goes on, and what it learns is the same."""
    assert forked("finetune_lora").returncode == 0
    before = outputs(place)
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "5e47" * 10, "WANDB_MODE": "online"}
    done = python("finetune_lora", **nowhere, WANDB_INIT_TIMEOUT="2", WANDB_FINISH_TIMEOUT="2")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("W&B: ")]
    assert len(said) == 1
    assert said[0].endswith("tracking is not online, and training goes on")
    assert "5e47" * 10 not in done.stdout + done.stderr
    assert outputs(place) == before


@pytest.fixture
def programs(tmp_path):
    """A folder of programs with all that a run needs, and no git."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "bash", "env"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    for name in ("python", "dvc"):
        (folder / name).symlink_to(Path(sys.executable).with_name(name))
    return folder


def test_no_git(place, programs):
    edit(max_steps=-1)
    before = outputs(place)
    done = run(place, sys.executable, "-m", "stages.compare", check=False, PATH=str(programs))
    assert done.returncode == 0, done.stderr
    assert outputs(place) == before
    done = run(place, str(programs / "dvc"), "repro", check=False, PATH=str(programs))
    assert done.returncode != 0
    assert f"{place} is not a git repository" in done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(place) == before


def test_half_a_record_of_dvc(clones, tmp_path):
    """DVC writes dvc.lock in place: Git's copy is the remedy, and the run cache brings back what was recorded since."""
    place = shutil.copytree(clones.first, tmp_path / "place", symlinks=True)
    lock, before = place / "dvc.lock", outputs(place)
    whole = lock.read_bytes()
    for half in (b"", whole[:900], whole[: whole.index(b"  baseline_infer:") - 1]):
        lock.write_bytes(half)
        run(place, "git", "checkout", "dvc.lock")
        done = run(place, "dvc", "repro").stdout
        assert re.findall("^Running stage '(.*)'", done, re.MULTILINE) == []
        assert outputs(place) == before
    lock.write_bytes(whole[: whole.index(b"  finetune_lora:") - 1])  # DVC takes it for a whole one
    done = run(place, "dvc", "repro").stdout
    assert re.findall("^Running stage '(.*)'", done, re.MULTILINE) in ([], ["compare"])
    assert outputs(place) == before


def test_killed_between_the_end_of_a_stage_and_its_record(clones, tmp_path):
    """A training that DVC has not recorded is not done again; one that it has is, where somebody asks for it."""
    place = shutil.copytree(clones.first, tmp_path / "place", symlinks=True)
    before = outputs(place)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WANDB_MODE": "disabled"}
    force = ["dvc", "repro", "--force", "--single-item", "finetune_lora"]
    recorded = (place / "dvc.lock").stat().st_mtime_ns
    for _ in range(5):  # on a busy machine DVC may be faster than the kill
        done = subprocess.Popen(
            force, cwd=place, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        while not done.stdout.readline().startswith("finetune_lora: "):
            assert done.poll() is None
        os.killpg(done.pid, signal.SIGKILL)
        done.communicate()
        before_it, recorded = recorded, (place / "dvc.lock").stat().st_mtime_ns
        if before_it == recorded:
            break
    assert list((place / resume.HOME).glob("finetune_lora/*/step-*"))
    goes_on = "finetune_lora: goes on from what an earlier run left"
    assert goes_on in run(place, *force).stdout
    assert outputs(place) == before
    assert goes_on not in run(place, *force).stdout
    assert outputs(place) == before
    run(place, "dvc", "repro", "--force", "--single-item", "post_infer")
    assert not list((place / resume.HOME).glob("finetune_lora/*"))


def test_two_at_once(clones, tmp_path):
    """The second says who is at work, and what is there stays."""
    place = shutil.copytree(clones.first, tmp_path / "place", symlinks=True)
    before = outputs(place)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WANDB_MODE": "disabled"}
    first = subprocess.Popen(
        ["dvc", "repro", "-f", "-s", "fetch_dataset", "baseline_infer"],
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    for said in first.stdout:
        if said.startswith("> python -m stages.baseline_infer"):
            break
    second = run(place, "dvc", "repro", "-f", "-s", "baseline_infer", check=False)
    rest = first.communicate()[0]
    assert first.returncode == 0, rest
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stderr
    assert f"(PID {first.pid})" in second.stderr
    assert outputs(place) == before


@pytest.mark.parametrize("wants", ["pickle", "code"])
def test_a_model_with_code_in_it_is_refused(place, tiny, wants, monkeypatch):
    from stages.model import base_model

    hub = tiny.model.hub
    folder = place / "snapshot"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    for path in base_model.folder(tiny.model).iterdir():
        if wants == "code" or path.suffix != ".safetensors":
            shutil.copy(path, folder)
    bomb = f"open({str(place / 'exploded')!r}, 'w')"
    if wants == "code":
        config = json.loads((folder / "config.json").read_text())
        code = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.T", None]}
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": code}))
        tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "auto_map": code}))
        (folder / "evil.py").write_text(f"{bomb}\nclass Config: pass\nclass Model: pass\nclass T: pass\n")
    else:
        (folder / "pytorch_model.bin").write_bytes(f"cbuiltins\nexec\n(V{bomb}\ntR.".encode())
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("source: random", "source: hub"))
    for name in ("format_prompts", "baseline_infer"):
        line = one_line(forked(name), name)
        reason = "there are no safetensors" if wants == "pickle" else "it wants code of its own to be run"
        assert line.startswith(f"model {hub.path} at {hub.revision[:12]}: {reason}")
    assert not (place / "exploded").exists()


def lacking(folder):
    """Take some of the weights away."""
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if ".layers.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def reshaped(folder):
    """Give a weight another shape."""
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def config(file="config.json", **changed):
    """Change a JSON file; None takes a key away."""

    def change(folder):
        values = {**json.loads((folder / file).read_text()), **changed}
        (folder / file).write_text(json.dumps({key: value for key, value in values.items() if value is not None}))

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lacking, "its weights lack model.layers.1."),
        (reshaped, "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "other.safetensors"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").unlink(), "its config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("["), "its config.json is missing, or no JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "its config.json is missing, or no JSON"),
        (config(model_type="nosuch"), "cannot be loaded"),
        (config(model_type=None, architectures=None), "cannot be loaded"),
        (config(model_type="vit", auto_map={"AutoModelForCausalLM": "evil.Model"}), "cannot be loaded"),
        (config(quantization_config={"quant_method": "gptq", "bits": 4}), "cannot be loaded"),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "cannot be loaded"),
        (
            config("tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.T", None]}),
            "cannot be loaded",
        ),
    ],
)
def test_a_hub_model_of_no_use(place, tiny, change, reason, monkeypatch):
    from stages.model import base_model

    folder = shutil.copytree(base_model.folder(tiny.model), place / "snapshot")
    (folder / "evil.py").write_text(f"open({str(place / 'exploded')!r}, 'w')\nclass Model: pass\nclass T: pass\n")
    change(folder)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("source: random", "source: hub"))
    before = outputs(place)
    line = one_line(forked("baseline_infer"), "baseline_infer")
    assert line.startswith(f"model {tiny.model.hub.path} at {tiny.model.hub.revision[:12]}: ")
    assert reason in line
    assert outputs(place) == before
    assert not (place / "exploded").exists()


def test_an_adapter_that_is_a_pickle_is_refused(place):
    (place / "models/adapter/adapter_model.safetensors").unlink()
    bomb = f"cbuiltins\nexec\n(Vopen({str(place / 'exploded')!r}, 'w')\ntR."
    (place / "models/adapter/adapter_model.bin").write_bytes(bomb.encode())
    before = outputs(place)
    line = one_line(forked("post_infer"), "post_infer")
    assert "there is no adapter_model.safetensors (and adapter_model.bin is not read: it may hold code)" in line
    assert not (place / "exploded").exists()
    assert outputs(place) == before


@pytest.mark.parametrize(("name", "section"), [("fetch_dataset", "dataset"), ("format_prompts", "model")])
def test_a_hub_that_never_answers(place, name, section):
    before = outputs(place)
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(re.sub(rf"(?ms)^({section}:.*?^  source:) \w+", r"\1 hub", text), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # accepts, and says nothing
        code = f"from stages import {name}; from stages.files import hub; from stages.runtime import stage; "
        code += "hub.SECONDS = 0.2; "
        silence = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "HF_HUB_OFFLINE": "0"}
        command = sys.executable, "-c", f"{code}stage.run({name!r}, {name}.main)"
        done = run(place, *command, check=False, HF_HOME=str(place / "hf"), HF_TOKEN="hf_s3nt1nel", **silence)
    line = one_line(done, name)
    assert "check the network" in line
    assert "s3nt1nel" not in done.stdout + done.stderr
    assert outputs(place) == before


@pytest.mark.parametrize("name", ["fetch_dataset", "format_prompts"])
def test_no_network(without_hub, name):
    process, place, before = without_hub[name]
    out, err = process.communicate(timeout=2 * LIMIT)
    line = one_line(SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err), name)
    assert re.match(r"(dataset|model) \S+ .*at [0-9a-f]{12}: ", line)
    assert "check the network" in line
    assert outputs(place) == before
