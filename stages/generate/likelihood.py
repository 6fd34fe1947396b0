"""How likely a model finds the reference answers: the strong measure for questions that no rule can grade."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.files import records
from stages.runtime import resume

TOKENS = 4096  # of a batch, padding included: what is larger is no faster, and takes the memory of its activations


def reference_losses(answering: Any, rows: list[records.Row], place: Path) -> list[float | None]:
    """Mean negative log-likelihood, in nats a token, of each row's completion after its prompt.

    The completion is the held-out reasoning and response with the stop token, as training would have counted it. None
    for a row without one. Shape: one number a row, in the order of `rows`; lower is better. Batches that are in `place`
    are not computed again.
    """
    import torch

    order = [index for index, row in enumerate(rows) if "completion_ids" in row]
    order.sort(key=lambda index: -_length(rows[index]))
    losses: list[float | None] = [None] * len(rows)
    with (
        tqdm(total=len(order), desc="reference loss", unit="answer", mininterval=1) as progress,
        torch.inference_mode(),
    ):

        def batches(skip: int) -> Iterator[list[records.Row]]:
            for batch in islice(_batches(order, rows), skip, None):
                found = _batch(answering, [rows[index] for index in batch])
                progress.update(len(batch))
                yield [{"index": index, "loss": round(loss, 6)} for index, loss in zip(batch, found, strict=True)]

        for batch in resume.kept(place, "losses", progress, batches):
            for row in batch:
                losses[row["index"]] = row["loss"]
    return losses


def _batches(order: list[int], rows: list[records.Row]) -> Iterator[list[int]]:
    """Indices by batches of at most TOKENS, padding included, one row at least; the longest stand first."""
    start = 0
    while start < len(order):
        end = start + max(1, TOKENS // _length(rows[order[start]]))
        yield order[start:end]
        start = end


def _length(row: records.Row) -> int:
    return len(row["prompt_ids"]) + len(row["completion_ids"])


def _batch(answering: Any, rows: list[records.Row]) -> list[float]:
    import torch
    from torch.nn.functional import cross_entropy

    whole = answering.get_base_model() if hasattr(answering, "get_base_model") else answering
    ids = [torch.tensor(row["prompt_ids"] + row["completion_ids"]) for row in rows]
    # Padded on the right with any token: a causal model never looks there.
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True).to(answering.device)
    hidden = whole.base_model(input_ids=padded, use_cache=False).last_hidden_state
    losses = []
    for row, states in zip(rows, hidden, strict=True):
        start, end = len(row["prompt_ids"]), len(row["prompt_ids"]) + len(row["completion_ids"])
        # Row by row: the logits of a whole batch would be the largest thing in memory by far.
        logits = whole.get_output_embeddings()(states[start - 1 : end - 1]).float()
        losses.append(cross_entropy(logits, torch.tensor(row["completion_ids"], device=logits.device)).item())
    return losses
