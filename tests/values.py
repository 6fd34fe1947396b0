"""Values for property tests: all that the schema of params allows, and anything else that a params file can hold."""

import datetime
import math
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from stages.params import field_types, schema

LETTERS = st.characters(exclude_categories=["Cs"])
OF_TEXT = {
    field_types.Text: st.text(LETTERS, min_size=1, max_size=20).filter(str.strip),
    field_types.Commit: st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
    field_types.Sha256: st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    field_types.SetName: st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
    field_types.FileName: st.from_regex(r"([a-z]{1,3}/)?[A-Zé ]{1,3}\.(json|jsonl|csv|parquet)", fullmatch=True),
    field_types.Date: st.dates().map(str),
    field_types.Template: st.tuples(st.text(LETTERS, max_size=9), st.text(LETTERS, max_size=9)).map("{question}".join),
    field_types.HubPath: st.from_regex(r"[A-Za-z0-9]{1,9}/[A-Za-z0-9]{1,9}", fullmatch=True),
    field_types.Package: st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True),
    field_types.GgufFile: st.from_regex(r"[A-Za-z0-9]{1,9}\.gguf", fullmatch=True),
}
OF_TEXT = {kind.__metadata__[0]: strategy for kind, strategy in OF_TEXT.items()}
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length", "multiple_of")


def of(kind: Any, metadata: tuple = ()) -> st.SearchStrategy:
    """Values that the schema allows for an annotation; what keys must agree on with each other apart."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        more = (one.metadata if isinstance(one, FieldInfo) else [one] for one in inner[1:])
        return of(inner[0], (*metadata, *chain.from_iterable(more)))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, UnionType):
        return st.one_of(*(of(one, metadata) for one in inner))
    bounds = {name: getattr(one, name) for one in metadata for name in BOUNDS if hasattr(one, name)}
    if origin is list:
        least, most = bounds.get("min_length", 0), bounds.get("max_length", 4)
        return st.lists(of(inner[0]), min_size=least, max_size=min(most, 4), unique_by=_plain)
    if origin is dict:
        return st.dictionaries(*map(of, inner), max_size=3)
    if kind is str:
        return next(OF_TEXT[one] for one in metadata if one in OF_TEXT)
    if kind in (int, float):
        return _numbers(kind, bounds)
    if kind in (bool, type(None)):
        return st.booleans() if kind is bool else st.none()
    return st.fixed_dictionaries({name: of(one.annotation, one.metadata) for name, one in kind.model_fields.items()})


def _plain(value: Any) -> str:
    return value.strip().casefold() if isinstance(value, str) else repr(value)


def _numbers(kind: type, bounds: dict[str, float]) -> st.SearchStrategy:
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if kind is float:
        return st.floats(low, high, allow_nan=False, exclude_min="gt" in bounds, exclude_max="lt" in bounds)
    step = bounds.get("multiple_of", 1)
    whole = st.integers(-(-(low + ("gt" in bounds)) // step), (high - ("lt" in bounds)) // step)
    return whole.map(lambda number: number * step)


def agreeing(values: dict) -> dict:
    """The values, set right where they would be in each other's way."""
    training, model = values["training"], values["model"]
    training |= {"logging_steps": 1, "eval_steps": 1, "max_steps": training["max_steps"] or -1}
    if training["lr_scheduler_type"] == "constant":
        training["warmup_steps"] = 0
    if model["dtype"] == "float32" and (model["backend"] == "unsloth" or model["load_in_4bit"]):
        model["dtype"] = "bfloat16"
    if model["backend"] == "unsloth":
        model["use_liger_kernel"], training["padding_free"] = False, True
    generation = values["generation"]
    generation["chunk_size"] = max(generation["chunk_size"], generation["batch_size"])
    if generation["temperature"] == 0:
        generation["samples"] = 1
    if (generation["max_thinking_tokens"] or 0) >= generation["max_new_tokens"]:
        generation["max_thinking_tokens"] = None
    if values["prompt"]["style"] == "plain":
        values["prompt"]["chat_template_kwargs"] = {}
    if model["source"] == "random":
        values["lora"]["layers_to_transform"] = None
    for number, one in enumerate(values["evaluation_sets"]):
        one["name"] = f"s-{one['name']}{number}"
        fixed = one["kind"] == "choice" and one["options"] is not None
        one["options"] = one["options"] if fixed else None
        one["columns"]["options"] = "o" if one["kind"] == "choice" and not fixed else None
        one["answer_key"] = (one["answer_key"] or "letter") if one["kind"] == "choice" else None
    for columns in [values["dataset"]["files"]["columns"], *(one["columns"] for one in values["evaluation_sets"])]:
        columns |= {ours: f"{ours} {theirs}" for ours, theirs in columns.items() if theirs is not None}
    return values


GOOD = of(schema.Params).map(agreeing)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=9)
    | st.dates() | st.sampled_from([0, -1, 10**400, 2**31, 1e308, math.nan, math.inf, datetime.datetime(1, 1, 1)])
)  # fmt: skip
KEYS = st.text(st.characters()) | st.integers() | st.none() | st.dates()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=6
)
