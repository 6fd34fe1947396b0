"""What answers on the page: revisions, and the verdict where it is of this very adapter."""

import hashlib
import json
import subprocess
from pathlib import Path

from stages.params import yaml_text
from stages.params.schema import Params
from stages.report import verdict, wording
from stages.runtime import identity

ADAPTER = Path("models/adapter")
COMPARE = Path("metrics/compare.json")
POST = "data/answers/post.jsonl"
LOCK = Path("dvc.lock")
OTHER = "The verdict in metrics/ is not of this adapter under these params: `dvc repro` brings it up to date."


def headline(params: Params) -> str:
    """The verdict in a sentence; "" where nothing was compared, a remark where it is of something else."""
    if not COMPARE.exists() or not ADAPTER.exists():
        return ""
    if not _is_current(params):
        return OTHER
    results = json.loads(COMPARE.read_text(encoding="utf-8"))
    return verdict.headline({wording.label(name): one for name, one in results.items()})


def revisions(params: Params) -> dict[str, str]:
    """What exactly answers here, by name."""
    package, hub, dataset = params.model.package, params.model.hub, params.dataset
    weights = ADAPTER / "adapter_model.safetensors"
    return {
        "Base model": {
            "package": f"{package.name}, {package.gguf_file}, SHA-256 {package.sha256}",
            "hub": f"{hub.path} at {hub.revision}",
            "random": f"random weights, seed {params.model.random.seed}",
        }[params.model.source],
        "Adapter": f"SHA-256 {identity.digest(weights)}" if weights.exists() else "none yet",
        "Dataset": {
            "builtin": f"clinical scores by rule ({', '.join(dataset.builtin.scores)}), seed {dataset.builtin.seed}",
            "hub": f"{dataset.hub.path} ({dataset.hub.name}, {dataset.hub.split}) at {dataset.hub.revision}",
            "files": ", ".join(dataset.files.data_files),
        }[dataset.source],
        "Git commit": _git("rev-parse", "HEAD") + (", changed since" if _git("status", "--porcelain") else ""),
    }


def base_name(params: Params) -> str:
    """The base model's short name."""
    names = {"package": Path(params.model.package.gguf_file).stem, "hub": params.model.hub.path.rpartition("/")[2]}
    return names.get(params.model.source, "random weights")


def _is_current(params: Params) -> bool:
    """Whether dvc.lock says that the verdict is of the answers of the adapter that is here, under these params."""
    stages = yaml_text.parse(LOCK.read_text(encoding="utf-8"), str(LOCK))["stages"] if LOCK.exists() else {}
    hashes = {
        (name, one["path"]): one["md5"]
        for name, stage in stages.items()
        for one in [*stage.get("deps", []), *stage.get("outs", [])]
    }
    here = [{"md5": _md5(path), "relpath": path.name} for path in sorted(ADAPTER.iterdir())]
    folder = hashlib.md5(json.dumps(here, sort_keys=True).encode(), usedforsecurity=False).hexdigest()  # as DVC does
    answered = stages.get("post_infer", {}).get("params", {}).get("params.yaml", {})
    return (
        params.model_dump(mode="json", include=set(answered)) == answered
        and hashes.get(("post_infer", ADAPTER.as_posix())) == f"{folder}.dir"
        and hashes.get(("post_infer", POST)) == hashes.get(("compare", POST))
        and hashes.get(("compare", COMPARE.as_posix())) == _md5(COMPARE)
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _git(*arguments: str) -> str:
    """What git prints; "unknown" where this is no repository."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
