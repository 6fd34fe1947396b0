"""The answers to rows of prompts: one call for both arms, which reuses earlier answers."""

import time
from collections.abc import Iterator, MutableMapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.files import records
from stages.files.records import Row
from stages.generate import engine, generate, generation_errors, likelihood
from stages.model import architecture, load, memory
from stages.model.memory import generation as generation_memory
from stages.params.schema import Generation, Model, Params
from stages.runtime import costs

Kept = MutableMapping[str, Row]


def settings(params: Params) -> list[Model | Generation]:
    """What an answer depends on beside prompt and adapter: the model and its generation."""
    # The continuous engine runs the layers of transformers, whichever backend trained the adapter.
    backend = "transformers" if params.generation.engine == "continuous" else params.model.backend
    return [params.model.model_copy(update={"backend": backend}), params.generation]


def load_model(params: Params, adapter: Path | None = None, scale: float = 1.0, merge_tolerance: float = 0.0) -> Any:
    """The LoadedModel that answers: the base, with the adapter times `scale` where given."""
    architecture.check(params)  # now, not once all is answered and the training begins
    return load.for_answers(settings(params)[0], adapter, scale, merge_tolerance)


def answer(model: Any, rows: list[Row], params: Params, kept: Kept) -> list[Row]:
    """A row a prompt, in order: id, set, text, tokens, finish_reason, and any reference_loss.

    `kept` holds what was answered before by the same model and settings, by a hash of the prompt and of what else an
    answer depends on; new answers are added at once. Raises UserError for a row that is too long.
    """
    _check_context(model, rows, params.generation)
    estimate = partial(generation_memory.estimate, model.network, longest=max(len(row["prompt_ids"]) for row in rows))
    with memory.watched(estimate, params, generation_memory.smaller(params)):
        generated = _generated(model, rows, params.generation, kept)
        losses = likelihood.reference_losses(model.network, rows, kept)
    answers = []
    for row, found, loss in zip(rows, generated, losses, strict=True):
        ids, reason = found["token_ids"], found["finish_reason"]
        text = model.tokenizer.decode(ids[:-1] if reason == "stop" else ids, skip_special_tokens=False)
        answers.append({"id": row["id"], "set": row["set"], "text": text, "tokens": len(ids), "finish_reason": reason})
        if loss is not None:
            answers[-1]["reference_loss"] = loss
    return answers


def summary(answers: list[Row]) -> str:
    """How many answers there are, of how many tokens, and how many ended by themselves."""
    stopped = sum(row["finish_reason"] == "stop" for row in answers)
    tokens = sum(row["tokens"] for row in answers)
    return generation_errors.SUMMARY.format(answers=len(answers), tokens=tokens, stopped=stopped)


def _generated(model: Any, rows: list[Row], generation: Generation, kept: Kept) -> list[Row]:
    """Token ids and finish reason of each row's answer, in order."""
    prompts = [row["prompt_ids"] for row in rows]
    with tqdm(total=len(rows), desc=generation_errors.ANSWERS, unit="answer", mininterval=1) as progress:
        if engine(generation).independent(model):
            keys = [records.fingerprint(ids) for ids in prompts]
            groups = [[index for index, key in enumerate(keys) if key not in kept]]
        else:
            keys, groups = [""] * len(rows), []
            for chunk in _chunks(rows, generation.chunk_size):
                company = records.fingerprint([prompts[index] for index in chunk])
                for number, index in enumerate(chunk):
                    keys[index] = f"{company}-{number}"
                if any(keys[index] not in kept for index in chunk):
                    groups.append(chunk)
        progress.update(len(rows) - sum(map(len, groups)))
        start, written = time.perf_counter(), 0
        for group in groups:
            for piece in generate(model, [prompts[index] for index in group], generation):
                found = {"token_ids": piece.token_ids, "finish_reason": piece.finish_reason}
                kept[keys[group[piece.index]]] = found
                written += len(piece.token_ids)
                progress.update()
        if written:
            costs.work(written, time.perf_counter() - start)
    return [kept[key] for key in keys]


def _chunks(rows: list[Row], size: int) -> Iterator[list[int]]:
    """Indices of rows that share a batch: of one set, a free question alone."""
    # Where an answer depends on its batch, another set or free question then changes no answer.
    for name, group in groupby(range(len(rows)), key=lambda index: rows[index]["set"]):
        yield from records.batches(group, 1 if name == "free" else size)


def _check_context(model: Any, rows: list[Row], generation: Generation) -> None:
    """Raise UserError where a prompt and its answer do not fit the model's positions."""
    longest = max(len(row["prompt_ids"]) for row in rows)
    # A model without embedded positions (ALiBi) names no limit.
    limit = getattr(model.network.config.get_text_config(), "max_position_embeddings", float("inf"))
    whole = max(len(row["prompt_ids"]) + len(row.get("completion_ids", [])) for row in rows)
    if whole > limit:
        raise generation_errors.REFERENCE_TOO_LONG(tokens=whole, limit=limit)
    if longest + generation.max_new_tokens > limit:
        raise generation_errors.ANSWER_TOO_LONG(new=generation.max_new_tokens, longest=longest, limit=limit)
