"""Answer every prompt, greedily and in batches: one call for both arms, with and without the adapter."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.files import records
from stages.files.errors import UserError
from stages.generate import likelihood
from stages.model import load, memory
from stages.model.memory import generation as answers_memory
from stages.params.schema import Generation, Params
from stages.runtime import costs, resume

PROMPTS = Path("data/prompts/eval.jsonl")


def answer(params: Params, output: Path, adapter: Path | None = None, scale: float = 1.0) -> str:
    """Answer the prompts of data/prompts/eval.jsonl into `output`, in their order; returns the summary of the stage.

    A row also has the reference loss of its question, where there is a reference answer to find likely or not. A run
    that was killed goes on after the last chunk of answers that it finished.
    """
    rows = list(records.read(PROMPTS))
    tokenizer = load.tokenizer(params.model)
    generation = params.generation
    load.check(params.model)  # now, not once all is answered and the training begins
    # The continuous engine runs the layers of transformers, whichever backend trained the adapter.
    backend = "transformers" if generation.engine == "continuous" else params.model.backend
    answering = load.for_answers(params.model.model_copy(update={"backend": backend}), adapter, scale)
    _check_context(answering, rows, generation)
    inputs = [PROMPTS] if adapter is None else [PROMPTS, adapter]
    estimate = partial(answers_memory.estimate, answering, longest=max(len(row["prompt_ids"]) for row in rows))
    with (
        resume.place(output.stem, [params.model, generation, scale], inputs) as place,
        memory.watched(estimate, params, answers_memory.smaller(params)),
    ):
        answers = [
            {"id": row["id"], "set": row["set"], **_answer(tokenizer, ids)}
            for row, ids in zip(rows, _generated(answering, tokenizer, rows, generation, place), strict=True)
        ]
        losses = likelihood.reference_losses(answering, rows, place)
        for answer, loss in zip(answers, losses, strict=True):
            if loss is not None:
                answer["reference_loss"] = loss
        records.write(output, answers)
    stopped = sum(row["finish_reason"] == "stop" for row in answers)
    return f"{len(rows)} answers, {sum(row['tokens'] for row in answers)} tokens, {stopped} ended by themselves"


def _generated(
    answering: Any, tokenizer: Any, rows: list[records.Row], generation: Generation, place: Path
) -> list[list[int]]:
    """Token ids of the answers, in the order of `rows`; chunks that are in `place` are not generated again."""
    prompts = [row["prompt_ids"] for row in rows]
    answers: list[list[int]] = [[] for _ in rows]
    start, written = time.perf_counter(), 0
    with tqdm(total=len(rows), desc="answers", unit="answer", mininterval=1) as progress:

        def chunks(skip: int) -> Iterator[list[records.Row]]:
            nonlocal written
            for chunk, ids in engine(generation)(answering, tokenizer, prompts, generation, progress, skip=skip):
                written += sum(map(len, ids))
                yield [{"index": index, "ids": one} for index, one in zip(chunk, ids, strict=True)]

        for chunk in resume.kept(place, "answers", progress, chunks):
            for row in chunk:
                answers[row["index"]] = row["ids"]
    if written:
        costs.work(written, time.perf_counter() - start)
    return answers


def engine(generation: Generation) -> Any:
    """What generates: the function of the engine that params name."""
    from stages.generate.engines import continuous_batching, hf_generate

    return {"continuous": continuous_batching.generate, "transformers": hf_generate.generate}[generation.engine]


def _answer(tokenizer: Any, ids: list[int]) -> records.Row:
    stopped = ids[-1:] == [tokenizer.eos_token_id]
    text = tokenizer.decode(ids[:-1] if stopped else ids, skip_special_tokens=False)
    return {"text": text, "tokens": len(ids), "finish_reason": "stop" if stopped else "length"}


def _check_context(answering: Any, rows: list[records.Row], generation: Generation) -> None:
    """Raise UserError where a prompt and its answer would not fit the positions that the model was trained on."""
    longest = max(len(row["prompt_ids"]) for row in rows)
    limit = answering.config.max_position_embeddings
    whole = max(len(row["prompt_ids"]) + len(row.get("completion_ids", [])) for row in rows)
    if whole > limit:
        raise UserError(
            f"data: the longest question with its reference answer has {whole} tokens, the model {limit} positions: "
            "leave it out of the rows"
        )
    if longest + generation.max_new_tokens > limit:
        raise UserError(
            f"generation.max_new_tokens: {generation.max_new_tokens} after the longest prompt ({longest} tokens) "
            f"exceeds the model's {limit} positions: lower it, or ask shorter questions"
        )
