"""The two arms, as baseline_infer and post_infer load them: over one set of weights in memory, and sooner."""

import copy
import json
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

from stages.files import records
from stages.generate import answers
from stages.model import base_model, rotary
from stages.model.load import LoadedModel
from stages.model.weights import cache
from stages.params.schema import Model, Params
from stages.runtime import identity

ADAPTER = Path("models/adapter")
LABEL, STOPS = "answering", "stop_ids.json"
KEPT = 4  # folders of weights as they answer, the newest ones: each adapter has one


class _Beside(Exception):  # noqa: N818 - no error: nothing is kept
    """The adapter was not merged."""


def load(params: Params, base: bool = True, tuned: bool = True) -> dict[str, LoadedModel]:
    """The arms that are asked for, "base" and "tuned"; "base" alone where there is no adapter yet.

    Raises UserError for an adapter of another model, and wherever the stages do.
    """
    arms: dict[str, LoadedModel] = {}
    if tuned and ADAPTER.exists():
        arms["tuned"] = _arm(params, ADAPTER)
    if base or not arms:
        arms = {"base": _base(params, arms.get("tuned")), **arms}
    return arms


def _base(params: Params, tuned: LoadedModel | None) -> LoadedModel:
    """The base arm; what of the tuned one's weights equals its own is one tensor from now on."""
    if tuned is not None and hasattr(tuned.network, "get_base_model"):
        return LoadedModel(_without_adapter(tuned.network), tuned.tokenizer, tuned.stop_ids)
    made = _arm(params, None)
    if tuned is not None:
        tensors = dict(made.network.named_parameters())
        for name, weight in tuned.network.named_parameters():
            if weight.equal(tensors[name]):
                weight.data = tensors[name].data
    return made


def _without_adapter(tuned: Any) -> Any:
    """The base model under an adapter: other modules, the same tensors."""
    from peft.tuners.lora import LoraLayer

    whole = tuned.get_base_model()
    copied = copy.deepcopy(whole, {id(tensor): tensor for tensor in chain(whole.parameters(), whole.buffers())})
    for name, module in list(copied.named_modules()):
        if isinstance(module, LoraLayer):
            copied.set_submodule(name, module.get_base_layer())
    return copied


def _arm(params: Params, adapter: Path | None) -> LoadedModel:
    """An arm; where it is small and merged, from the weights that an earlier call kept.

    To read the default preset's weights, merge them and round them takes three seconds, PEFT's import included.
    """
    given = {"adapter": adapter, **params.adapter.model_dump()} if adapter else {}
    model = answers.settings(params)[0]
    if model.source == "hub" or model.backend == "unsloth" or model.load_in_4bit:
        return answers.load_model(params, **given)
    made: list[LoadedModel] = []

    def make(target: Path) -> None:
        made.append(answers.load_model(params, **given))
        if hasattr(made[0].network, "get_base_model"):
            raise _Beside
        kept = sorted(target.parent.glob(f"{LABEL}-*"), key=lambda path: path.stat().st_mtime)
        for old in [path for path in kept if not path.suffix][: -KEPT + 1]:
            shutil.rmtree(old)
        made[0].network.save_pretrained(target)
        records.write_json(target / STOPS, sorted(made[0].stop_ids))

    values = [model, params.adapter] if adapter else [model]
    key = identity.key("post_infer", values, [adapter] if adapter else [])
    try:
        folder = cache.cached([LABEL, key], make)
    except _Beside:
        return made[0]
    return made[0] if made else _kept(folder, model)


def _kept(folder: Path, model: Model) -> LoadedModel:
    from stages.model.backends import hf_peft

    network = rotary.in_float32(hf_peft.ready_to_answer(hf_peft.load_to_answer(folder, model), model, 0.0))
    stop_ids = json.loads((folder / STOPS).read_text(encoding="utf-8"))
    return LoadedModel(network, base_model.tokenizer(model), frozenset(stop_ids))
