"""What every artefact is held against: the adapter's greedy answers, and the first logits of adapter and base model."""

from pathlib import Path
from typing import Any

from stages.data.parts import Parts
from stages.data.prompts import TEXT
from stages.export import ADAPTER
from stages.export.runtimes import STEPS, in_transformers
from stages.files import records
from stages.files.records import Row
from stages.generate import answers, generate
from stages.params.schema import Params

POST = Path("data/answers/post.jsonl")


def of_adapter(params: Params, prompts: list[Row], kept: answers.Kept) -> list[Row]:
    """A row a prompt: text, finish_reason, token_ids of the first steps, and `likely` by adapter and by base.

    post_infer's own answers where they are greedy and no budget cut their thinking; else they are written anew, once.
    `kept` holds what was computed before.
    """
    wanted = {"temperature": 0.0, "samples": 1, "max_thinking_tokens": None}
    greedy = params.model_copy(update={"generation": params.generation.model_copy(update=wanted)})
    keys = [records.fingerprint(row["prompt_ids"]) for row in prompts]
    missing = [index for index, key in enumerate(keys) if f"base {key}" not in kept]
    if missing:
        tuned = answers.load_model(params, ADAPTER, **params.adapter.model_dump())
        rows = [prompts[index] for index in missing]
        as_run = params.generation.temperature == 0 and params.generation.max_thinking_tokens is None
        found = _answered(rows) if as_run else _anew(tuned, rows, greedy)
        for index, row in zip(missing, found, strict=True):
            ids = Parts(tuned.tokenizer, literal=False).ids([row["text"]], TEXT)[0][:STEPS]
            row |= {"token_ids": ids, "likely": _likely(tuned.network, prompts[index]["prompt_ids"], ids)}
            kept[keys[index]] = row
        del tuned  # before the base model is loaded
        base = answers.load_model(params)
        for index in missing:
            ids = kept[keys[index]]["token_ids"]
            kept[f"base {keys[index]}"] = {"likely": _likely(base.network, prompts[index]["prompt_ids"], ids)}
    return [kept[key] | {"base": kept[f"base {key}"]["likely"]} for key in keys]


def _answered(prompts: list[Row]) -> list[Row]:
    found = {(row["set"], row["id"]): row for row in records.read(POST) if row["sample"] == 0}
    chosen = (found[row["set"], row["id"]] for row in prompts)
    return [{key: row[key] for key in ("text", "finish_reason")} for row in chosen]


def _anew(model: Any, prompts: list[Row], params: Params) -> list[Row]:
    found: dict[int, Row] = {}
    for piece in generate(model, [row["prompt_ids"] for row in prompts], params.generation):
        ids = piece.token_ids[: -1 if piece.finish_reason == "stop" else None]
        found[piece.index] = {"text": model.tokenizer.decode(ids), "finish_reason": piece.finish_reason}
    return [found[index] for index in range(len(prompts))]


def _likely(network: Any, prompt: list[int], ids: list[int]) -> list[list[tuple[int, float]]]:
    """The likeliest tokens at each step of an answer that begins with `ids`, the one after the last not."""
    import torch

    from stages.model.ops.head import Head

    whole = network.get_base_model() if hasattr(network, "get_base_model") else network
    given = torch.tensor([prompt + ids], device=network.device)
    with torch.inference_mode():
        hidden = whole.base_model(input_ids=given, use_cache=False).last_hidden_state[0]
        return in_transformers.top(Head(network)(hidden[len(prompt) - 1 : -1])) if ids else []
