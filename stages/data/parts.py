"""Token ids of the parts of a text: those of the whole text, but for merges over their borders.

A SentencePiece tokenizer puts a space before a text, and some put one after each special token too. A part in the
middle of a text gets none.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stages.data import data_errors


@dataclass(frozen=True)
class Parts:
    """Reads parts of texts with one tokenizer; with `literal`, special tokens in them are plain text."""

    tokenizer: Any
    literal: bool = False

    def ids(self, texts: list[str], before: list[int]) -> list[list[int]]:
        """Token ids of texts that follow a text with the ids `before`; with none, they begin one.

        Raises UserError for a literal text that this tokenizer reads as a special token.
        """
        if not before:
            return self._encoded(self.tokenizer, texts)
        bare = self.after_added if before[-1] in self.added else self.after_text
        if bare is self.tokenizer:
            return self._encoded(bare, texts)
        return [self._from_added(text, ids) for text, ids in zip(texts, self._encoded(bare, texts), strict=True)]

    def _from_added(self, text: str, ids: list[int]) -> list[int]:
        """The ids of a part, read from its first added token on as any text is."""
        unknown = self.tokenizer.unk_token_id  # an added token that no text has to hold
        first = next((index for index, one in enumerate(ids) if one in self.added and one != unknown), None)
        if first is None:
            return ids
        rest = text[text.index(self.added[ids[first]].content) :]
        return ids[:first] + self._encoded(self.tokenizer, [rest])[0]

    def _encoded(self, tokenizer: Any, texts: list[str]) -> list[list[int]]:
        options = {"split_special_tokens": True} if self.literal else {}
        found = tokenizer(texts, add_special_tokens=False, **options).input_ids if texts else []
        for text, ids in zip(texts, found, strict=True):
            if self.literal and (forged := self.special.intersection(ids)):  # a Unigram's vocabulary holds them too
                raise data_errors.SPECIAL_TOKEN(token=self.added[min(forged)].content, text=text[:60])
        return found

    @cached_property
    def added(self) -> dict[int, Any]:
        """The added tokens by their ids."""
        return self.tokenizer.added_tokens_decoder

    @cached_property
    def special(self) -> frozenset[int]:
        """The ids that no literal text may have."""
        return frozenset(index for index, one in self.added.items() if one.special) - {self.tokenizer.unk_token_id}

    @cached_property
    def after_text(self) -> Any:
        """The tokenizer for what follows text: without any space of its own."""
        return self._without_space(everywhere=True)

    @cached_property
    def after_added(self) -> Any:
        """The tokenizer for what follows an added token: without the space that a text begins with."""
        return self._without_space(everywhere=False)

    def _without_space(self, everywhere: bool) -> Any:
        if not any(_puts_space(step, everywhere) for step in _steps(self.tokenizer.backend_tokenizer)):
            return self.tokenizer  # to copy one takes a fifth of a second
        copied = copy.deepcopy(self.tokenizer)
        for step in _steps(copied.backend_tokenizer):  # what is changed in one changes the tokenizer
            if not _puts_space(step, everywhere):
                continue
            if hasattr(step, "prepend_scheme"):
                step.prepend_scheme = "never"
            elif hasattr(step, "prepend"):
                step.prepend = ""
            else:
                step.add_prefix_space = False
        return copied


def _puts_space(step: Any, everywhere: bool) -> bool:
    """Whether a step puts a space before a text: where one begins, or after added tokens too."""
    from tokenizers import normalizers, pre_tokenizers

    scheme = getattr(step, "prepend_scheme", "never")  # of Metaspace
    if scheme == "first" or (everywhere and scheme == "always"):
        return True
    if isinstance(step, normalizers.Prepend):
        return everywhere
    return everywhere and isinstance(step, pre_tokenizers.ByteLevel) and step.add_prefix_space


def _steps(backend: Any) -> Iterator[Any]:
    """The steps of a tokenizer before its model."""
    from tokenizers import normalizers, pre_tokenizers

    for step in (backend.normalizer, backend.pre_tokenizer):
        if isinstance(step, normalizers.Sequence | pre_tokenizers.Sequence):
            yield from step
        else:
            yield step
