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
from stages.generate import ask, engine, generate, generation_errors, likelihood, seed_of
from stages.model import architecture, load, memory, rotary
from stages.model.memory import generation as generation_memory
from stages.params.schema import Generation, Params
from stages.runtime import costs

Kept = MutableMapping[str, Row]


def settings(params: Params) -> list[Any]:
    """What an answer depends on beside prompt, sample and adapter: the model, its generation, the tags of thinking."""
    # The continuous engine runs the layers of transformers, whichever backend trained the adapter.
    backend = "transformers" if params.generation.engine == "continuous" else params.model.backend
    model = params.model.model_copy(update={"backend": backend})
    return [model, params.generation.model_copy(update={"samples": 1}), params.prompt.thinking_tags]


def load_model(params: Params, adapter: Path | None = None, scale: float = 1.0, merge_tolerance: float = 0.0) -> Any:
    """The LoadedModel that answers: the base, with the adapter times `scale` where given."""
    architecture.check(params)  # now, not once all is answered and the training begins
    made = load.for_answers(settings(params)[0], adapter, scale, merge_tolerance)
    rotary.in_float32(made.network)
    return made


def answer(model: Any, rows: list[Row], params: Params, kept: Kept) -> list[Row]:
    """A row a sample, by question: id, set, sample, text, tokens, finish_reason, thinking_cut.

    Also `asked`, where the answer was asked for once more, and on sample 0 any `reference_loss`. Questions of another
    split than `evaluation.split` are left out; free ones have one sample. `kept` holds what was answered before by the
    same model and settings, by a hash of the prompt, the sample and what else an answer depends on; new answers are
    added at once. Raises UserError for a row that is too long.
    """
    split, asker = params.evaluation.split, ask.Asker(model, params.prompt.thinking_tags)
    rows = [row for row in rows if row.get("split", split) == split]
    if not rows:
        raise generation_errors.NO_QUESTION(split=split)
    _check_context(model, rows, params.generation, asker)
    counts = [1 if row["set"] == "free" else params.generation.samples for row in rows]
    samples = [(row, sample) for row, count in zip(rows, counts, strict=True) for sample in range(count)]
    estimate = partial(generation_memory.estimate, model.network, longest=max(len(row["prompt_ids"]) for row in rows))
    with memory.watched(estimate, params, generation_memory.smaller(params)):
        generated = _generated(model, samples, params, kept)
        texts = [_text(model, found) for found in generated]
        asked = asker.answers([row for row, _ in samples], generated, texts, kept)
        losses = iter(likelihood.reference_losses(model.network, rows, kept))
    answers = []
    for (row, sample), found, text, stated in zip(samples, generated, texts, asked, strict=True):
        answers.append({"id": row["id"], "set": row["set"], "sample": sample, "text": text})
        answers[-1].update(tokens=len(found["token_ids"]), finish_reason=found["finish_reason"])
        answers[-1]["thinking_cut"] = found["thinking_cut"]
        if stated is not None:
            answers[-1]["asked"] = stated
        if sample == 0 and (loss := next(losses)) is not None:
            answers[-1]["reference_loss"] = loss
    return answers


def summary(answers: list[Row]) -> str:
    """How many answers there are, of how many tokens, how many ended by themselves, and what else was done."""
    return generation_errors.SUMMARY.format(
        answers=len(answers),
        tokens=sum(row["tokens"] for row in answers),
        stopped=sum(row["finish_reason"] == "stop" for row in answers),
        cut=sum(row["thinking_cut"] for row in answers),
        asked=sum("asked" in row for row in answers),
    )


def _text(model: Any, found: Row) -> str:
    ids = found["token_ids"][: -1 if found["finish_reason"] == "stop" else None]
    return model.tokenizer.decode(ids, skip_special_tokens=False)


def _generated(model: Any, samples: list[tuple[Row, int]], params: Params, kept: Kept) -> list[Row]:
    """Token ids, finish reason and whether the thinking was cut, of each sample, in order."""
    generation, prompts = params.generation, [row["prompt_ids"] for row, _ in samples]
    seeds = [seed_of(row["prompt_ids"], sample, generation) for row, sample in samples]
    with tqdm(total=len(samples), desc=generation_errors.ANSWERS, unit="answer", mininterval=1) as progress:
        if engine(generation).independent(model):
            keys = [records.fingerprint([seed]) for seed in seeds]
            groups = [[index for index, key in enumerate(keys) if key not in kept]]
        else:
            keys, groups = [""] * len(samples), []
            for chunk in _chunks(samples, generation.chunk_size):
                company = records.fingerprint([seeds[index] for index in chunk])
                for number, index in enumerate(chunk):
                    keys[index] = f"{company}-{number}"
                if any(keys[index] not in kept for index in chunk):
                    groups.append(chunk)
        progress.update(len(samples) - sum(map(len, groups)))
        start, written = time.perf_counter(), 0
        for group in groups:
            given = [prompts[index] for index in group], generation
            tags = params.prompt.thinking_tags
            for piece in generate(model, *given, seeds=[seeds[index] for index in group], tags=tags):
                found = piece._asdict()
                kept[keys[group[found.pop("index")]]] = found
                written += len(piece.token_ids)
                progress.update()
        if written:
            costs.work(written, time.perf_counter() - start)
    return [kept[key] for key in keys]


def _chunks(samples: list[tuple[Row, int]], size: int) -> Iterator[list[int]]:
    """Indices of samples that share a batch: of one set, a free question alone."""
    # Where an answer depends on its batch, another set or free question then changes no answer.
    for name, group in groupby(range(len(samples)), key=lambda index: samples[index][0]["set"]):
        yield from records.batches(group, 1 if name == "free" else size)


def _check_context(model: Any, rows: list[Row], generation: Generation, asker: ask.Asker) -> None:
    """Raise UserError where a prompt and what follows it do not fit the model's positions."""
    longest = max(len(row["prompt_ids"]) for row in rows)
    # A model without embedded positions (ALiBi) names no limit.
    limit = getattr(model.network.config.get_text_config(), "max_position_embeddings", float("inf"))
    whole = max(len(row["prompt_ids"]) + len(row.get("completion_ids", [])) for row in rows)
    if whole > limit:
        raise generation_errors.REFERENCE_TOO_LONG(tokens=whole, limit=limit)
    more = asker.most_tokens() if any(map(ask.is_asked, rows)) else 0
    if longest + generation.max_new_tokens + more > limit:
        raise generation_errors.ANSWER_TOO_LONG(new=generation.max_new_tokens, more=more, longest=longest, limit=limit)
