"""The loss on the reference answers: the measure for questions that no rule can grade."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from tqdm import tqdm

from stages.files import records
from stages.files.records import Row
from stages.generate import generation_errors

TOKENS = 4096  # of a batch, padding included: more is no faster, and takes the memory of its activations


def reference_losses(network: Any, rows: list[Row], kept: MutableMapping[str, Row]) -> list[float | None]:
    """Mean negative log-likelihood of each row's completion, in nats a token; lower is better.

    The completion is the held-out reasoning and response with the stop token, as in training. One number a row, in the
    order of `rows`; None for a row without one. Losses in `kept` are not computed again; new ones are added.
    """
    import torch

    from stages.model.ops.head import Head

    head = Head(network)
    order = [index for index, row in enumerate(rows) if "completion_ids" in row]
    order.sort(key=lambda index: -_length(rows[index]))
    losses: list[float | None] = [None] * len(rows)
    progress = tqdm(total=len(order), desc=generation_errors.LOSSES, unit="answer", mininterval=1)
    with progress, torch.inference_mode():
        for batch in _batches(order, rows):
            chosen = [rows[index] for index in batch]
            key = records.fingerprint([[row["prompt_ids"], row["completion_ids"]] for row in chosen])
            if key not in kept:
                kept[key] = {"losses": [round(loss, 6) for loss in _batch(network, head, chosen)]}
            for index, loss in zip(batch, kept[key]["losses"], strict=True):
                losses[index] = loss
            progress.update(len(batch))
    return losses


def _batches(order: list[int], rows: list[Row]) -> Iterator[list[int]]:
    """Indices in batches of at most TOKENS, padding included; the longest first."""
    start = 0
    while start < len(order):
        end = start + max(1, TOKENS // _length(rows[order[start]]))
        yield order[start:end]
        start = end


def _length(row: Row) -> int:
    return len(row["prompt_ids"]) + len(row["completion_ids"])


def _batch(network: Any, head: Any, rows: list[Row]) -> list[float]:
    import torch
    from torch.nn.functional import cross_entropy

    whole = network.get_base_model() if hasattr(network, "get_base_model") else network
    ids = [torch.tensor(row["prompt_ids"] + row["completion_ids"]) for row in rows]
    # Padded on the right with any token: a causal model never looks there.
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True).to(network.device)
    hidden = whole.base_model(input_ids=padded, use_cache=False).last_hidden_state
    losses = []
    for row, states in zip(rows, hidden, strict=True):
        start, end = len(row["prompt_ids"]), _length(row)
        # Row by row: the logits of a whole batch would be the largest thing in memory by far.
        logits = head(states[start - 1 : end - 1]).float()
        losses.append(cross_entropy(logits, torch.tensor(row["completion_ids"], device=logits.device)).item())
    return losses
