"""Whether an exported model still answers as the adapter that was evaluated: each artefact in its own runtime.

The questions of the split are asked greedily, the prompt as the runtime makes it from the artefact's own chat template.
Other kernels round otherwise, so that some answers differ; what counts is whether fewer are right, whether they still
stop and still show their thinking, whether the prompt is the pipeline's, and whether the fine-tune is in the logits.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.data.prompts import question_text
from stages.evaluate import comparison, samples, statistics, studies, summary
from stages.evaluate.thinking import Tags
from stages.export import ADAPTER, GGUF, MERGED, contents, export_errors, reference
from stages.export.runtimes import in_llama_cpp, in_transformers
from stages.files import errors, records
from stages.files.records import Row
from stages.generate import answers
from stages.model import base_model
from stages.params.schema import Params
from stages.runtime import identity, journal

RAW = (Path("data/raw/heldout.jsonl"), Path("data/raw/evaluation.jsonl"))
PROMPTS = (Path("data/prompts/heldout.jsonl"), Path("data/prompts/evaluation.jsonl"))
SUMMARY = Path("data/prompts/summary.json")
ARMS = {"before": Path("data/answers/baseline.jsonl"), "after": Path("data/answers/post.jsonl")}
COMPARED = 5  # tokens a step: the likeliest
NEARER = 0.5  # of the distance to the adapter: an artefact so much nearer the base model has lost the fine-tune
ROOM = 256  # tokens more than the pipeline's longest prompt, for a template that is longer


def judge(params: Params, artefacts: dict[str, Path]) -> list[str]:
    """Ask each artefact, by its name, write the table of metrics/export.json; returns a line a failure.

    A path is a Hugging Face folder or a GGUF file. What a killed call has asked is not asked again.
    """
    tags, graded = _tags(params), questions(params)
    prompts = {(row["set"], row["id"]): row for path in PROMPTS for row in records.read(path)}
    asked = [prompts[row["set"], row["record"]["id"]] for row in graded]
    with _kept([*answers.settings(params), params.adapter], [ADAPTER]) as kept:
        wanted = reference.of_adapter(params, asked, kept)
    tokenizer = base_model.tokenizer(params.model)
    table: dict[str, Row] = {}
    for name, path in artefacts.items():
        found = _answers(name, path, [row["record"] for row in graded], asked, params)
        pairs = [
            {"record": row["record"], "set": row["set"], "prompt_ids": prompt["prompt_ids"]}
            | {"before": before | samples.arm(row["record"], [before], params.grading, tags)}
            | {"after": after | samples.arm(row["record"], [after], params.grading, tags)}
            for row, prompt, before, after in zip(graded, asked, wanted, found, strict=True)
        ]
        table[name] = compared(pairs, tokenizer.convert_ids_to_tokens, params)
        table[name]["failures"] += contents.problems(path, params)
        table[name]["runtime"] = f"{_runtime(path).PACKAGE} {version(_runtime(path).PACKAGE)}"
    shown = {"key": studies.key(params, graded), "margin": params.export.margin, "artefacts": table}
    records.write_json(studies.EXPORT, {"export": comparison.rounded(shown)})
    return [f"{name}: {said}" for name, one in table.items() for said in one["failures"]]


def questions(params: Params) -> list[Row]:
    """The questions of the split with both arms' answers, graded. Raises UserError where a stage has not run."""
    counts = {"count": params.generation.samples, "split": params.evaluation.split}
    return comparison.graded(RAW, ARMS, params.grading, _tags(params), **counts)


def _tags(params: Params) -> Tags:
    if not SUMMARY.exists():
        raise errors.not_made(SUMMARY)
    return Tags(*params.prompt.thinking_tags, opened=json.loads(SUMMARY.read_text(encoding="utf-8"))["thinking_opened"])


def artefacts(folder: Path) -> dict[str, Path]:
    """What an export holds, by name: the merged folder, each GGUF file."""
    found = [folder / MERGED, *sorted((folder / GGUF).glob("*.gguf"))]
    return {path.name: path for path in found if path.exists()}


def compared(pairs: list[Row], spelled: Callable[[list[int]], list[str]], params: Params) -> Row:
    """One artefact in numbers, `after`, against the adapter, `before`, and in which ways it fails."""
    written = ([row[arm]["written"] for row in pairs] for arm in samples.ARMS)
    found = asdict(statistics.paired(*written, seed=params.grading.seed, groups=summary.group_of(pairs)))
    found["identical"] = _share(pairs, lambda row: row["before"]["text"] == row["after"]["text"])
    distances = [one for row in pairs for one in _distances(row["after"], row["before"]["token_ids"], row["before"])]
    from_base = [
        one
        for row in pairs
        for one in _distances(row["after"], row["before"]["token_ids"], {"likely": row["before"]["base"]})
    ]
    found["logprobs"] = {"compared": len(distances), "largest": max(distances, default=0.0), "mean": _mean(distances)}
    found["logprobs"]["mean_from_base"] = _mean(from_base)
    found["same_ids"] = _share(pairs, lambda row: row["prompt_ids"] == row["after"]["prompt_ids"])
    # Some tokenizers cut a whole text otherwise than its parts: that is the same prompt.
    found["same_prompt"] = _share(
        pairs, lambda row: "".join(spelled(row["prompt_ids"])) == "".join(spelled(row["after"]["prompt_ids"]))
    )
    found["stopped"] = {arm: _share(pairs, lambda row, arm=arm: row[arm]["finish_reason"] == "stop") for arm in ARMS}
    found["tags"] = {
        tag: {arm: _share(pairs, lambda row, arm=arm, tag=tag: tag in row[arm]["text"]) for arm in ARMS}
        for tag in params.prompt.thinking_tags
    }
    return found | {"failures": list(_failures(found, params.export.margin))}


def _failures(found: Row, margin: float) -> Iterator[str]:
    percent = "{:.1f}".format
    if found["same_prompt"] < 1:
        yield export_errors.OTHER_PROMPT.format(share=percent(100 * (1 - found["same_prompt"])))
    far = found["logprobs"]
    if far["mean_from_base"] < NEARER * far["mean"]:
        yield export_errors.VANISHED.format(base=far["mean_from_base"], adapter=far["mean"])
    parts = {"right": found, "that stop": found["stopped"]}
    parts |= {f"with {tag}": shares for tag, shares in found["tags"].items()}
    for what, shares in parts.items():
        if round(shares["before"] - shares["after"], 9) > margin:  # 1 - 0.95 is more than 0.05
            one, other = (percent(100 * shares[arm]) for arm in ("after", "before"))
            less = percent(100 * (shares["before"] - shares["after"]))
            yield export_errors.FEWER.format(what=what, one=one, n=found["n"], other=other, less=less, margin=margin)


def _distances(found: Row, tokens: list[int], wanted: Row) -> list[float]:
    """By how much log-probabilities differ, of what is likeliest in `wanted`, as long as both wrote the same tokens."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(found["token_ids"], tokens, strict=False))))
    distances = []
    for likely, other in list(zip(wanted["likely"], found["likely"], strict=False))[: same + 1]:
        known = dict(map(tuple, other))
        least = min(known.values())  # what is not among the likeliest of the artefact is less likely than these
        distances += [abs(value - known.get(token, least)) for token, value in likely[:COMPARED]]
    return distances


def _answers(name: str, path: Path, rows: list[Row], asked: list[Row], params: Params) -> list[Row]:
    """The answers of one artefact, in order; those that are kept are not written again."""
    runtime = _runtime(path)
    questions = [question_text(row, params.prompt.answer_line) for row in rows]
    keys = [records.fingerprint(question) for question in questions]
    room = max(len(row["prompt_ids"]) for row in asked) + params.generation.max_new_tokens + ROOM
    values = [version(runtime.PACKAGE), params.generation.max_new_tokens, params.generation.batch_size]
    with _kept(values, [path]) as kept:
        left = [index for index, key in enumerate(keys) if key not in kept]
        with tqdm(total=len(keys), initial=len(keys) - len(left), desc=name, unit="answer", mininterval=1) as progress:
            if left:
                for index, row in runtime.answers(path, [questions[index] for index in left], params, room):
                    kept[keys[left[index]]] = row
                    progress.update()
        return [kept[key] for key in keys]


def _runtime(path: Path) -> Any:
    return in_llama_cpp if path.suffix == ".gguf" else in_transformers


def _kept(values: list[Any], inputs: list[Path]) -> Any:
    """The journal of what these values and files have answered, with the code that asks them."""
    code = [Path(reference.__file__), *Path(in_transformers.__file__).parent.glob("*.py")]
    key = identity.key("post_infer", values, [*inputs, *code])
    return closing(journal.Journal(journal.HOME / f"export-{key}.jsonl"))


def _share(rows: list[Row], holds: Callable[[Row], bool]) -> float:
    return _mean([float(holds(row)) for row in rows])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
