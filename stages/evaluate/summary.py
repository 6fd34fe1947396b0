"""One evaluation set in numbers: what is right as asked, as written, and of what needs no model."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.evaluate import samples, statistics
from stages.evaluate.baselines import baselines
from stages.evaluate.form import form_of
from stages.evaluate.groups import Groups, effective
from stages.evaluate.samples import ARMS
from stages.files.records import Row
from stages.params.schema import Grading


def of_set(rows: list[Row], grading: Grading, training: Sequence[Row]) -> Row:
    """All of a set's numbers that depend on no other set; what is tested has a p_value, and no verdict yet."""
    groups, seed, first = group_of(rows), grading.seed, rows[0]
    kind, count = first["record"]["kind"], len(first["before"]["samples"])
    found = _compared(*scores(rows, "correct"), seed, groups)
    for arm in ARMS:
        correct, every = np.array([row[arm]["correct"] for row in rows], dtype=float), _samples(rows, arm)
        # A mean of samples varies less than one of them: its interval is wider than it must be.
        share, alpha = effective(correct, groups, statistics.ALPHA)
        low, high = statistics.wilson(correct.sum() * share, len(rows) * share, alpha)
        found |= {f"{arm}_low": low, f"{arm}_high": high, f"{arm}_form": form_of(every)}
    found |= {"kind": kind, "weak": kind == "open", "samples": count, "rule": first["before"]["rule"]}
    found["about"] = "written" if kind == "open" else "asked"
    bounds = {"number": grading.relative_tolerance, "overlap": grading.overlap_threshold}
    found["threshold"] = bounds.get(found["rule"])
    found["groups"] = groups and len(set(groups))
    written = None if kind == "open" else _compared(*scores(rows, "written"), seed, groups)
    found["written"] = written
    found["form"] = written and {"diff": written["diff"] - found["diff"]}
    found["asked_share"] = {
        arm: sum(one["was_asked"] for one in _samples(rows, arm)) / (len(rows) * count) for arm in ARMS
    }
    views = {"pass_at_k": samples.passed} | ({} if kind == "open" else {"majority": samples.majority})
    found |= {"pass_at_k": None, "majority": None}
    if count > 1:
        for name, view in views.items():
            found[name] = _compared(*([view(row[arm]) for row in rows] for arm in ARMS), seed, groups)
    found["baselines"] = None
    if beside := baselines(rows, training, grading):
        after = scores(rows, "correct")[1]
        found["baselines"] = beside[0] | {"against": _compared(beside[1], after, seed, groups)}
    return found


def _compared(before: list[Any], after: list[Any], seed: int, groups: Groups) -> Row:
    """The paired difference of two scores a question, with how many questions rose and fell."""
    if not all(isinstance(one, bool) for one in (*before, *after)):
        before, after = list(map(float, before)), list(map(float, after))
    result = asdict(statistics.paired(before, after, seed=seed, groups=groups))
    if before == after:  # shares that are all equal have no spread: the interval is that of questions without a flip
        none = [False] * len(before)
        same = statistics.paired(none, none, seed=seed, groups=groups)
        result |= {"ci_low": same.ci_low, "ci_high": same.ci_high}
    # Shares differ by no more than 1, which the bootstrap-t of few means does not know.
    result |= {"ci_low": max(-1.0, result["ci_low"]), "ci_high": min(1.0, result["ci_high"])}
    pairs = list(zip(before, after, strict=True))
    return result | {"fixed": sum(one < two for one, two in pairs), "broken": sum(one > two for one, two in pairs)}


def scores(rows: list[Row], key: str) -> list[list[Any]]:
    """By arm, one value of each question."""
    return [[row[arm][key] for row in rows] for arm in ARMS]


def _samples(rows: list[Row], arm: str) -> list[Row]:
    return [one for row in rows for one in row[arm]["samples"]]


def group_of(rows: list[Row]) -> Groups:
    """The group of each question, or None where the set has no groups."""
    groups = [row["record"].get("group") for row in rows]
    return None if None in groups else groups
