"""Checks that change nothing: of the machine, a model's files, a LoRA config, an adapter.

No stage depends on this file: an output that exists passed them.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stages.files.errors import UserError, explained, one_line
from stages.model import model_errors
from stages.params.schema import HubModel, Model, Params

RETRAIN = "`dvc repro` trains one"


def pipeline(params: Params) -> None:
    """Raise UserError where this machine cannot run some stage by these params; asked before a download."""
    import torch

    from stages.model.ops import varlen_attention

    machine(params.model)
    optimizer(params.training.optim)
    dtype, continuous = params.model.dtype, params.generation.engine == "continuous"
    if continuous and torch.cuda.is_available() and not varlen_attention.has_flash(getattr(torch, dtype)):
        raise model_errors.NO_FLASH(card=_card(), dtype=dtype)


def machine(model: Model) -> None:
    """Raise UserError where this machine lacks the GPU, its abilities or the library that a setting needs."""
    import torch

    settings = [
        (model.dtype == "float16", "dtype: float16", "bfloat16 or float32", "torch"),
        (model.backend == "unsloth", "backend: unsloth", "transformers", "unsloth"),
        (model.load_in_4bit, "load_in_4bit: true", "false", "bitsandbytes"),
        (model.use_liger_kernel, "use_liger_kernel: true", "false", "liger_kernel"),
    ]
    for asked, setting, instead, library in settings:
        if asked and not torch.cuda.is_available():
            raise UserError(f"model.{setting} needs a CUDA GPU, and there is none: set it to {instead}")
        if asked and find_spec(library) is None:
            raise UserError(f"model.{setting} needs {library}, which is not installed: make install-gpu")
    if not torch.cuda.is_available():
        return
    major, minor = torch.cuda.get_device_capability(0)
    built = [int(name[3:]) for name in torch.cuda.get_arch_list() if name.startswith("sm_") and name[3:].isdigit()]
    if 10 * major + minor < min(built, default=0):
        raise model_errors.NO_KERNELS(version=torch.__version__, card=_card())
    if model.dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise model_errors.NO_BFLOAT16(card=_card())


def optimizer(optim: str) -> None:
    """Raise UserError where an 8-bit optimizer is asked for and its library is not installed."""
    if "8bit" in optim and find_spec("bitsandbytes") is None:
        raise model_errors.NO_OPTIMIZER(optim=optim)


def cache_writable(folder: Path, variable: str) -> None:
    """Raise UserError where the folder of the models' cache cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: no cache for models can be made or written there ({error.strerror}): set {variable} to a "
            "folder that can be written"
        ) from None


def snapshot(folder: Path, hub: HubModel) -> None:
    """Raise UserError for a model without safetensors, or that needs its own code."""
    if not list(folder.glob("*.safetensors")):
        name = model_errors.HUB_NAME.format(hub=hub)
        raise UserError(f"{name}: there are no safetensors in {folder}: choose a model that has, or download it whole")
    own_code(folder, hub)


def own_code(folder: Path, hub: HubModel) -> None:
    """Raise UserError for a model whose config is missing, or wants code of its own to be run (auto_map)."""
    from transformers import CONFIG_MAPPING

    name = model_errors.HUB_NAME.format(hub=hub)
    config = _json_object(folder / "config.json")
    if config is None:
        raise UserError(f"{name}: its config.json is missing, or no JSON object: choose another")
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise UserError(f"{name}: it wants code of its own to be run (auto_map), which is never done: choose another")


@contextmanager
def readable(model: Model, folder: Path) -> Iterator[None]:
    """Raise UserError instead of a library's error for files that are damaged or not supported."""
    from safetensors import SafetensorError

    damaged: tuple[type[Exception], ...] = (SafetensorError, OSError, ValueError)
    if model.source == "hub":
        damaged += (ImportError, KeyError, TypeError, AttributeError)  # a config of another kind of model
    try:
        yield
    except (*damaged, RuntimeError) as error:
        # A weight of another shape is a RuntimeError that names this option.
        if explained(error) or not (isinstance(error, damaged) or "ignore_mismatched_sizes" in str(error)):
            raise
        name, remedy = f"model folder {folder}", "remove it, then `dvc repro` makes it again"
        if model.source == "hub":
            name = model_errors.HUB_NAME.format(hub=model.hub)
            remedy = f"choose another, or remove {folder} if its files are damaged"
        raise UserError(f"{name}: cannot be loaded ({type(error).__name__}): {one_line(error)}: {remedy}") from None


def trained(tuned: Any) -> None:
    """Raise UserError where a trained weight is not finite."""
    for name, weight in tuned.named_parameters():
        if weight.requires_grad and not weight.isfinite().all():
            raise UserError(f"training diverged: {name} is not finite: lower training.learning_rate")


def adapter_files(config: Path, weights: Path) -> None:
    """Raise UserError for an adapter that is incomplete, no LoRA, damaged or not finite."""
    from safetensors import SafetensorError, safe_open

    for path in (config, weights):
        if not path.is_file():
            others = sorted(other.name for other in path.parent.glob("adapter_model.*") if other != weights)
            note = f" (and {', '.join(others)} is not read: it may hold code)" if others else ""
            raise UserError(f"{path.parent}: there is no {path.name}{note}: {RETRAIN}")
    if (_json_object(config) or {}).get("peft_type") != "LORA":
        raise UserError(f"{config}: no config of a LoRA adapter: {RETRAIN}")
    try:
        with safe_open(weights, framework="pt") as file:
            for name in sorted(file.keys()):
                if not file.get_tensor(name).isfinite().all():
                    raise UserError(
                        f"{weights}: {name} is not finite: its training diverged: lower training.learning_rate"
                    )
    except SafetensorError as error:
        raise UserError(f"{weights}: damaged ({one_line(error)}): {RETRAIN}") from None


def adapter_fits(folder: Path, weights: Path, tuned: Any) -> None:
    """Raise UserError where an attached adapter's weights are not those of the model's layers."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        given = set(file.keys())
    wanted = get_peft_model_state_dict(tuned, save_embedding_layers=False).keys()
    for name in sorted(given ^ wanted):
        if "lora_" in name:
            has, lacks = ("adapter", "model") if name in given else ("model", "adapter")
            raise UserError(f"{folder}: no adapter for this model: the {has} has {name}, the {lacks} not: {RETRAIN}")


def _card() -> str:
    import torch

    return "{} (compute capability {}.{})".format(torch.cuda.get_device_name(0), *torch.cuda.get_device_capability(0))


def _json_object(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
