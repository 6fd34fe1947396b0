"""The base model with the adapter merged into it: a Hugging Face folder for transformers, vLLM and others."""

from pathlib import Path
from typing import Any, NamedTuple

from stages.data.prompts import Formatter
from stages.export import ADAPTER, chat_template, export_errors, response_template
from stages.files import records
from stages.generate import answers
from stages.model import adapter, base_model, checks, load
from stages.params.schema import Generation, Params

SHARD = 10**9  # bytes of a file of weights, and of memory


class Merge(NamedTuple):
    """The share of the update that a merge loses, and whether post_infer's answers were written with its tensors."""

    lost: float
    as_answered: bool


def write(params: Params, folder: Path) -> Merge:
    """Write model, tokenizer, chat template and generation config.

    Weights are read as they lie on the disk, and one shard at a time is in memory. Where post_infer merges, the tensors
    are those that it answered with; where it keeps the adapter beside the weights (in 4-bit weights too), the merge is
    made in float32 and rounded once. Raises UserError for an adapter that is none of this model.
    """
    import torch
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(params.model.threads)
    base, dtype = base_model.folder(params.model), getattr(torch, params.model.dtype)
    with checks.readable(params.model, base):  # on a CPU, where the files are mapped into memory
        network = AutoModelForCausalLM.from_pretrained(base, dtype="auto", trust_remote_code=False)
    if getattr(network.config, "quantization_config", None):
        raise export_errors.QUANTIZED_BASE(path=params.model.hub.path)
    tokens = base_model.tokenizer(params.model)
    tied = network.all_tied_weights_keys
    weights = {name: weight for name, weight in network.state_dict().items() if name not in tied}
    tuned = adapter.attach(network, ADAPTER, params.adapter.scale)
    lost = adapter.merge_error(tuned, dtype)
    answered = answers.settings(params)[0]
    as_answered = answered.backend == "transformers" and not answered.load_in_4bit
    as_answered &= lost <= params.adapter.merge_tolerance
    layers = {f"{name}.weight": layer for name, layer in network.named_modules() if isinstance(layer, LoraLayer)}

    def written(name: str) -> Any:
        weight = weights[name]
        if name in layers:
            update = layers[name].get_delta_weight("default")
            weight = weight + update.to(weight.dtype) if as_answered else weight.float() + update
        weight = weight.to(dtype) if weight.is_floating_point() else weight
        if not weight.isfinite().all():
            raise export_errors.OVERFLOW(name=name, dtype=params.model.dtype)
        return weight.contiguous()

    with torch.no_grad():
        _save(weights, dtype, written, folder)
    network.config.dtype = dtype
    network.config.save_pretrained(folder)
    stops = load._stop_ids(tokens, network.generation_config, network.config, network.config.get_text_config())
    stops |= {load.chat_template.end_of_turn(tokens)} - {None}
    bos = network.generation_config.bos_token_id
    _generation_config(bos, tokens.pad_token_id, sorted(stops), params.generation).save_pretrained(folder)
    formatter = Formatter(tokens, params.prompt)
    tokens.response_template = response_template.template(formatter, tokens.convert_ids_to_tokens(sorted(stops)))
    tokens.chat_template = chat_template.template(formatter)
    tokens.save_pretrained(folder)
    return Merge(lost, as_answered)


def _save(weights: dict[str, Any], dtype: Any, written: Any, folder: Path) -> None:
    """Write the weights as safetensors, shard by shard, with an index where there are several."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

    folder.mkdir(parents=True, exist_ok=True)
    sized = {name: torch.empty_like(one, dtype=dtype, device="meta") for name, one in weights.items()}
    pattern = "model{suffix}.safetensors"
    shards = split_torch_state_dict_into_shards(sized, filename_pattern=pattern, max_shard_size=SHARD)
    for file, held in shards.filename_to_tensors.items():
        save_file({name: written(name) for name in held}, folder / file, {"format": "pt"})
    if shards.is_sharded:
        index = {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename}
        records.write_json(folder / SAFE_WEIGHTS_INDEX_NAME, index)


def _generation_config(bos: int | None, pad: int, stops: list[int], settings: Generation) -> Any:
    """How the evaluated answers were written: every stop token, greedy or sampled."""
    from transformers import GenerationConfig

    sampled = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    return GenerationConfig(
        bos_token_id=bos,
        eos_token_id=stops,
        pad_token_id=pad,
        max_new_tokens=settings.max_new_tokens,
        **(sampled if settings.temperature else {"do_sample": False}),
    )
