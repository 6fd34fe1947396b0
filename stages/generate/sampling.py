"""Sampling of tokens from numbers that are known before: each answer has its own, whatever shares its batch."""

from typing import Any

import numpy as np

# To sort a vocabulary of 128,000 takes longer than a step; what lies beyond these holds next to no probability.
MOST_LIKELY = 1024
FEW = 64  # hold most nuclei: a CPU sorts them three times as fast


def uniforms(seed: int, start: int, count: int) -> np.ndarray:
    """Numbers `start` to `start + count` of a seed's endless row, evenly distributed on [0, 1), in float32.

    Philox computes each from its position (Salmon et al., SC 2011): an answer goes on where it stopped. Its raw bits
    are used, which no version of NumPy changes.
    """
    block, skipped = divmod(start, 4)  # a step of the counter gives four
    bits = np.random.Philox(key=seed, counter=block).random_raw(skipped + count)[skipped:]
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def pick(logits: Any, uniform: Any, temperature: float, top_p: float) -> Any:
    """The token that each row's number in [0, 1) picks by inverting the distribution; greedy at temperature 0.

    The distribution is the nucleus (Holtzman et al., ICLR 2020): the most likely tokens, each kept while the
    probability before it is below `top_p`, at most MOST_LIKELY. Nothing waits for a GPU: it can be part of a graph.
    """
    if not temperature:
        return logits.argmax(-1)
    shares = (logits.float() / temperature).softmax(-1)
    if shares.is_cuda:  # where to look at a mass would be to wait
        return _pick(shares, uniform, top_p, MOST_LIKELY)[0]
    picked, mass = _pick(shares, uniform, top_p, FEW)
    wide = mass < top_p
    picked[wide] = _pick(shares[wide], uniform[wide], top_p, MOST_LIKELY)[0]
    return picked


def _pick(shares: Any, uniform: Any, top_p: float, count: int) -> tuple[Any, Any]:
    """The picks from nuclei of at most `count` tokens, and the mass of so many."""
    most, ids = shares.topk(min(count, shares.shape[-1]))
    mass = most.double().cumsum(-1)
    kept = mass - most < top_p
    drawn = uniform.double() * (mass * kept).amax(-1)
    return ids.gather(-1, (mass <= drawn[:, None]).sum(-1, keepdim=True))[:, 0], mass[:, -1]
