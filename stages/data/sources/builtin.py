"""The built-in source: clinical scores by rule, so that every answer can be checked."""

from collections.abc import Iterator
from itertools import count
from random import Random

from stages.data import data_errors
from stages.data.vignettes.catalogue import SCORES
from stages.data.vignettes.vignette import write


def rows(seed: int, scores: list[str] | None = None) -> Iterator[dict[str, str]]:
    """Endless rows, the named scores in turn (all where None); a row's topic is its score.

    Row i depends on seed, scores and i alone. Raises UserError, at once, for a name that is no score's.
    """
    known = {score.name.replace(" ", "-"): score for score in SCORES}
    scores = scores or list(known)
    unknown = [name for name in scores if name not in known]
    if unknown:
        raise data_errors.UNKNOWN_SCORES(unknown=", ".join(unknown), known=", ".join(known))
    topics = ((index, scores[index % len(scores)]) for index in count())
    return ({**write(known[topic], Random(f"{seed}:{index}")), "topic": topic} for index, topic in topics)
