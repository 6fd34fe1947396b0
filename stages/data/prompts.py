"""Rows as token ids: a prompt, and a completion that ends with the stop token.

A template is cut at {question}; its two sides are tokenised as written, special tokens and all, and the question
between them as plain text. So a question with `<|im_end|>` in it is read as those ten characters: it cannot end its own
turn. The completion is `<think>`, the reasoning, `</think>`, the response and the stop token, in both styles: a chat
template is only ever asked for the turn before the answer, because R1's deletes the reasoning from answers it is given.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stages.data import data_errors
from stages.files.records import Row
from stages.params.schema import Prompt

THINK, END_THINK = "<think>", "</think>"
PLACEHOLDER = "{question}"


def question_text(record: Row) -> str:
    """The question of a record, with its options as lettered lines where it has any."""
    options = "".join(f"\n{letter}. {text}" for letter, text in sorted(record.get("options", {}).items()))
    return record["question"] + options


@dataclass(frozen=True)
class Formatter:
    """Turns records into token ids with one tokenizer and one template."""

    tokenizer: Any
    prompt: Prompt

    @cached_property
    def sides(self) -> tuple[str, str]:
        """The text before and after the question.

        Raises UserError for a chat template that does not print the question exactly once.
        """
        text = self._chat() if self.prompt.style == "chat" else self.prompt.template
        if text.count(PLACEHOLDER) != 1:  # a plain template has it once: params are held to that
            raise data_errors.QUESTION_COUNT(count=text.count(PLACEHOLDER))
        before, after = text.split(PLACEHOLDER)
        return before, after

    @cached_property
    def side_ids(self) -> tuple[list[int], list[int]]:
        """The two sides as token ids, with one BOS token where the tokenizer adds one."""
        before, after = self.sides
        bos = self.tokenizer.bos_token_id
        adds_bos = bos is not None and self.tokenizer("a").input_ids[:1] == [bos]
        ids = self.tokenizer(before, add_special_tokens=False).input_ids
        if adds_bos and ids[:1] != [bos]:
            ids = [bos, *ids]
        return ids, self.tokenizer(after, add_special_tokens=False).input_ids

    @cached_property
    def opening(self) -> str:
        """`<think>` and a newline, or "" where the prompt ends in `<think>` (R1's chat template)."""
        return "" if self.sides[1].rstrip().endswith(THINK) else f"{THINK}\n"

    def examples(self, rows: list[Row]) -> list[Row]:
        """Prompts, and completions of rows with reasoning, as text and as token ids."""
        questions = [question_text(row) for row in rows]
        before, after = self.side_ids
        out = []
        for row, question, ids in zip(rows, questions, as_text(self.for_questions, questions), strict=True):
            text = self.sides[0] + question + self.sides[1]
            out.append({"id": row["id"], "set": row["set"], "prompt": text, "prompt_ids": before + ids + after})
        answered = [(one, self.completion(row)) for one, row in zip(out, rows, strict=True) if "reasoning" in row]
        completions = as_text(self.for_completions, [text for _, text in answered])
        for (one, text), ids in zip(answered, completions, strict=True):
            one.update(completion=text, completion_ids=[*ids, self.tokenizer.eos_token_id])
        return out

    def completion(self, row: Row) -> str:
        """The completion as text, without the stop token."""
        return f"{self.opening}{row['reasoning']}\n{END_THINK}\n{row['response']}"

    def _chat(self) -> str:
        """The chat template with the placeholder as the question."""
        from jinja2 import TemplateError

        if not self.tokenizer.chat_template:
            raise data_errors.NO_CHAT_TEMPLATE()
        turns = [{"role": "user", "content": PLACEHOLDER}]
        try:
            return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError) as error:  # a template may also raise what it likes by itself
            raise data_errors.CHAT_TEMPLATE_FAILED(error=error) from None

    @cached_property
    def for_questions(self) -> Any:
        """A tokenizer that reads every added token as plain text."""
        return literal_tokenizer(self.tokenizer, keep=())

    @cached_property
    def for_completions(self) -> Any:
        """The same, except for the tags of the thinking: fetch_dataset drops rows that contain one."""
        return literal_tokenizer(self.tokenizer, keep=(THINK, END_THINK))


def literal_tokenizer(tokenizer: Any, keep: tuple[str, ...]) -> Any:
    """A copy whose added tokens are special, those of `keep` excepted.

    `split_special_tokens` reads special tokens as plain text. R1's tokenizer has turn marks and tags of thinking among
    its added tokens, marked as not special.
    """
    from tokenizers import AddedToken

    copied = copy.deepcopy(tokenizer)
    hidden = [one for one in tokenizer.added_tokens_decoder.values() if not one.special and one.content not in keep]
    copied.backend_tokenizer.add_special_tokens([AddedToken(one.content, special=True) for one in hidden])
    return copied


def as_text(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of texts, special tokens in them read as plain text."""
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True).input_ids if texts else []


def fit(example: Row, prompt: Prompt) -> tuple[Row, str]:
    """An example of at most `max_length` tokens, and `whole`, `truncated` or `dropped`.

    Truncation takes the end of the completion, its stop token with it: the loss then never teaches to stop there.
    """
    budget = prompt.max_length - len(example["prompt_ids"])
    if len(example["completion_ids"]) <= budget:
        return example, "whole"
    if prompt.overlong == "drop" or budget <= 0:
        return example, "dropped"
    return {**example, "completion_ids": example["completion_ids"][:budget]}, "truncated"
