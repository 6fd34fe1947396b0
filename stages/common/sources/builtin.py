"""The built-in source: bedside scores by rule, without a network, so that every answer can be checked."""

from collections.abc import Iterator
from itertools import count
from random import Random

from stages.common.scores.catalogue import SCORES
from stages.common.scores.vignette import write


def rows(seed: int) -> Iterator[dict[str, str]]:
    """Yield rows without end, the scores in turn; row i depends on the seed and on i alone."""
    for index in count():
        yield write(SCORES[index % len(SCORES)], Random(f"{seed}:{index}"))
