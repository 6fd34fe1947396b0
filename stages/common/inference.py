"""Answer every prompt, greedily and in batches: one call for both arms, with and without the adapter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.common import likelihood, model, records
from stages.common.errors import UserError
from stages.common.params.schema import Generation, Params

PROMPTS = Path("data/prompts/eval.jsonl")


def answer(params: Params, output: Path, adapter: Path | None = None, scale: float = 1.0) -> str:
    """Answer the prompts of data/prompts/eval.jsonl into `output`, in their order; returns the summary of the stage.

    A row also has the reference loss of its question, where there is a reference answer to find likely or not.
    """
    rows = list(records.read(PROMPTS))
    tokenizer = model.tokenizer(params.model)
    answering = model.for_answers(params.model, adapter, scale)
    _check_context(answering, rows, params.generation)
    prompts = [row["prompt_ids"] for row in rows]
    answers: list[records.Row | None] = [None] * len(rows)
    with tqdm(total=len(rows), desc=output.stem, unit="answer", mininterval=1) as progress:
        for batch, generated in generate(answering, tokenizer, prompts, params.generation):
            for index, ids in zip(batch, generated, strict=True):
                answers[index] = {"id": rows[index]["id"], "set": rows[index]["set"], **_answer(tokenizer, ids)}
            progress.update(len(batch))
    losses = likelihood.reference_losses(answering, rows, params.generation.batch_size)
    for answer, loss in zip(answers, losses, strict=True):
        if loss is not None:
            answer["reference_loss"] = loss
    records.write(output, answers)
    stopped = sum(row["finish_reason"] == "stop" for row in answers)
    return f"{len(rows)} answers, {sum(row['tokens'] for row in answers)} tokens, {stopped} ended by themselves"


def generate(
    answering: Any, tokenizer: Any, prompts: list[list[int]], generation: Generation
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield batches as (indices of prompts, token ids of their answers), the longest prompts first.

    Neighbours in length share a batch, so little is padded; the longest go first, so that a batch too large for the
    memory fails at once. Ids end with the stop token where the model wrote it.
    """
    import torch

    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in records.batches(order, generation.batch_size):
        width = len(prompts[batch[0]])
        padding = [width - len(prompts[index]) for index in batch]
        ids = [[tokenizer.pad_token_id] * pad + prompts[index] for pad, index in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in padding]
        with torch.inference_mode():
            out = answering.generate(
                input_ids=torch.tensor(ids, device=answering.device),
                attention_mask=torch.tensor(mask, device=answering.device),
                max_new_tokens=generation.max_new_tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        yield batch, [_until_stop(answer, tokenizer.eos_token_id) for answer in out[:, width:].tolist()]


def _until_stop(ids: list[int], stop: int) -> list[int]:
    return ids[: ids.index(stop) + 1] if stop in ids else ids


def _answer(tokenizer: Any, ids: list[int]) -> records.Row:
    stopped = ids[-1:] == [tokenizer.eos_token_id]
    text = tokenizer.decode(ids[:-1] if stopped else ids, skip_special_tokens=False)
    return {"text": text, "tokens": len(ids), "finish_reason": "stop" if stopped else "length"}


def _check_context(answering: Any, rows: list[records.Row], generation: Generation) -> None:
    """Raise UserError where a prompt and its answer would not fit the positions that the model was trained on."""
    longest = max(len(row["prompt_ids"]) for row in rows)
    limit = answering.config.max_position_embeddings
    if longest + generation.max_new_tokens > limit:
        raise UserError(
            f"generation.max_new_tokens: {generation.max_new_tokens} after the longest prompt ({longest} tokens) "
            f"exceeds the model's {limit} positions: lower it, or ask shorter questions"
        )
