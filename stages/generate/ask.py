"""The second question: where an answer does not plainly end with a letter or a number, the model is asked for one.

Behind the answer stands `Therefore, the answer is`, as in zero-shot chain of thought (Kojima et al. 2022, arXiv
2205.11916), and the most likely of the row's letters, or number, follows. More answers are asked than graders read
nothing in: a change of a grader makes no answer stale. Answers are asked one at a time, so that what follows depends on
nothing else, on any device.
"""

import re
from collections.abc import Iterable, MutableMapping
from functools import cached_property
from itertools import takewhile
from typing import Any

from tqdm import tqdm

from stages.data.parts import Parts
from stages.files import records
from stages.files.records import Row
from stages.generate import budget, generation_errors

Kept = MutableMapping[str, Row]
PHRASE = "Therefore, the answer is"
MOST = 12  # tokens of a number
NUMBERS = [f" {sign}{digit}" for sign in ("", "-") for digit in "0123456789"]
# No more than a line, and the answer: a next question that the model asks itself, which graders cut off, takes more.
STATED = re.compile(r"(?:[^\n#<\[]*\n+)?Answer: (?:(?P<letter>[A-Z])|-?[0-9]+(?:\.[0-9]+)?)")
PIECE = re.compile(r" ?[-.0-9]*")  # a token that numbers are made of
NUMBER = re.compile(r" -?(?:[0-9]+(?:\.[0-9]*)?)?")  # a number, or the beginning of one
BYTE = re.compile(r"<0x(2D|2E|3[0-9])>")  # a sign, a point or a digit among a vocabulary's bytes


def is_asked(row: Row) -> bool:
    """Whether a row's answer is a letter or a number."""
    return row.get("kind", "open") != "open"


def is_stated(row: Row, text: str, tags: budget.Tags) -> bool:
    """Whether no more than a line and `Answer: X` follow the thinking: a letter of the row's, or a number."""
    found = STATED.fullmatch(re.split(re.escape(tags[1]), text, flags=re.I)[-1].strip())
    return found is not None and (found["letter"] in row["letters"] if row["kind"] == "choice" else not found["letter"])


def _common(forms: Iterable[list[int]]) -> list[int]:
    """The tokens that all forms begin with."""
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*forms, strict=False))]


class Asker:
    """Asks a model that has answered for a letter or a number."""

    def __init__(self, model: Any, tags: budget.Tags) -> None:
        """Of a LoadedModel, and the tags of its thinking."""
        self._model, self._tags = model, tags
        self._parts = Parts(model.tokenizer)

    def answers(self, rows: list[Row], generated: list[Row], texts: list[str], kept: Kept) -> list[str | None]:
        """The letter or number that follows each answer; None where it is not asked for.

        What was `generated` has `token_ids` and `finish_reason`, and its prompt in `rows`. What is in `kept` is not
        asked again; what is new is added.
        """
        import torch

        found: list[str | None] = []
        with torch.inference_mode(), tqdm(total=len(rows), desc=generation_errors.ASKED, unit="answer") as progress:
            for one in zip(rows, generated, texts, strict=True):
                found.append(self._asked(*one, kept))
                progress.update()
        return found

    def most_tokens(self) -> int:
        """The tokens that stand behind an answer at most."""
        return MOST + max(map(len, self._after(budget.closing(self._tags), NUMBERS)))

    def _asked(self, row: Row, answer: Row, text: str, kept: Kept) -> str | None:
        if not is_asked(row):
            return None
        stopped = answer["finish_reason"] == "stop"
        thinks = budget.is_open(self._model.tokenizer, row["prompt_ids"], text, self._tags)
        if stopped and not thinks and is_stated(row, text, self._tags):
            return None
        ids, letters = row["prompt_ids"] + answer["token_ids"][: -1 if stopped else None], row.get("letters")
        key = records.fingerprint([PHRASE, ids, thinks, letters])
        if key not in kept:
            start = budget.closing(self._tags) if thinks else "\n"
            kept[key] = {"asked": self._letter(ids, start, letters) if letters else self._number(ids, start)}
        return kept[key]["asked"]

    def _letter(self, ids: list[int], start: str, letters: list[str]) -> str:
        """The most likely letter: token by token, where a tokenizer makes several of one."""
        left = dict(zip(letters, self._after(start, [f" {letter}" for letter in letters]), strict=True))
        past = None
        while len(left) > 1:
            same = _common(left.values())
            logits, past = self._next(ids + same, past)
            choices = sorted({more[len(same)] for more in left.values()})
            best = choices[int(logits[choices].argmax())]
            left = {letter: more for letter, more in left.items() if more[len(same)] == best}
        return next(iter(left))

    def _number(self, ids: list[int], start: str) -> str:
        """The most likely number: sign, digits and point, until the likeliest token is none of them."""
        forms = self._after(start, NUMBERS)
        same, past = _common(forms), None
        # The blank before it is a token of its own, read with what all numbers begin with, or still to come.
        text = "" if any(self._pieces.get(form[len(same)], "").startswith(" ") for form in forms) else " "
        ids = ids + same
        for _ in range(MOST):
            logits, past = self._next(ids, past)
            fits = [token for token, piece in self._pieces.items() if NUMBER.fullmatch(text + piece)]
            best = fits[int(logits[fits].argmax())]
            if text.strip(" -") and logits[best] < logits.max():
                break
            ids, text = [*ids, best], text + self._pieces[best]
        return text.strip().rstrip(".")

    def _after(self, start: str, ends: list[str]) -> list[list[int]]:
        """Token ids of the phrase with each end, as they follow an answer."""
        return self._parts.ids([f"{start}{PHRASE}{end}" for end in ends], budget.TEXT)

    @cached_property
    def _pieces(self) -> dict[int, str]:
        """The tokens that numbers are made of, by id, as text."""
        found = {}
        for token, index in self._model.tokenizer.get_vocab().items():
            text = BYTE.sub(lambda match: chr(int(match[1], 16)), token).replace("Ġ", " ").replace("▁", " ")
            if text and PIECE.fullmatch(text):
                found[index] = text
        return found

    @cached_property
    def _head(self) -> Any:
        from stages.model.ops.head import Head

        return Head(self._model.network)

    def _next(self, ids: list[int], past: tuple[Any, int] | None) -> tuple[Any, tuple[Any, int] | None]:
        """Logits of the token after `ids`, and the cache of what was read, for the next call."""
        import torch

        from stages.model.ops.head import native

        network = self._model.network
        whole = network.get_base_model() if hasattr(network, "get_base_model") else network
        cache, seen = past or (None, 0)
        given = {"past_key_values": cache} if cache is not None else {}
        tokens = torch.tensor([ids[seen:]], device=network.device)
        # Unsloth's own forward pass reads single tokens in another way, and some models keep no such cache.
        out = whole.base_model(input_ids=tokens, use_cache=native(whole), **given)
        cache = getattr(out, "past_key_values", None)
        return self._head(out.last_hidden_state[:, -1])[0], None if cache is None else (cache, len(ids))
