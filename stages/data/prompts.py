"""Rows as token ids: a prompt, and a completion that ends with the stop token.

A template is cut at {question}; its two sides are tokenised as written, special tokens and all, and the question
between them as plain text. So a question with `<|im_end|>` in it is read as those ten characters: it cannot end its own
turn. The completion is the reasoning between the tags of the thinking, the response, its last line where one is asked
for, and the stop token, in both styles: a chat template is only ever asked for the turn before the answer, because R1's
deletes the reasoning from answers it is given, and for the token that ends a turn.
"""

import copy
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

from stages.data import chat_template, data_errors
from stages.data.chat_template import PLACEHOLDER
from stages.data.parts import Parts
from stages.files.records import Row
from stages.params.schema import Prompt

# How models open their thinking: R1 and Qwen, Magistral, gpt-oss and others.
OPENING = re.compile(
    r"(<\|?(?:think\w*|thought|reason\w*|reflection)\|?>|\[THINK\]|<\|channel\|>analysis\S*)\s*\Z", re.I
)
TEXT = [-1]  # for Parts: what stands before is text, no added token
ANSWER = "Answer:"  # graders read a last line that begins so before all else
# As in simple-evals (https://github.com/openai/simple-evals), which asks for `Answer: $LETTER`, `Answer: $ANSWER`.
FORMS = {"choice": "LETTER", "number": "NUMBER", "open": "SHORT ANSWER"}
SAMPLE = {"id": "", "set": "", "question": "What is it?", "reasoning": "It is so. Or not.", "response": "It is so."}


def question_text(record: Row, answer_line: bool) -> str:
    """The question, its options as lettered lines, and what the last line is to be where there is a short answer."""
    options = "".join(f"\n{letter}. {text}" for letter, text in sorted(record.get("options", {}).items()))
    asked = ""
    if answer_line and "answer" in record:
        asked = f"\n\nThe last line of your response is of the form `{ANSWER} {FORMS[record['kind']]}`."
    return record["question"] + options + asked


@dataclass(frozen=True)
class Formatter:
    """Turns records into token ids with one tokenizer and one template."""

    tokenizer: Any
    prompt: Prompt

    @cached_property
    def sides(self) -> tuple[str, str]:
        """The text before and after the question.

        Raises UserError for a chat template that does not print the question exactly once, and for a prompt that ends
        in a tag of thinking which graders would not know.
        """
        chat = self.prompt.style == "chat"
        text = chat_template.text(self.tokenizer, self.prompt) if chat else self.prompt.template
        if text.count(PLACEHOLDER) != 1:  # a plain template has it once: params are held to that
            raise data_errors.QUESTION_COUNT(count=text.count(PLACEHOLDER))
        before, after = text.split(PLACEHOLDER)
        opens, found = self.prompt.thinking_tags[0], OPENING.search(after)
        if found and not after.rstrip().endswith(opens):
            raise data_errors.THINKING_OPENED(tag=found[1], opens=opens)
        return before, after

    @cached_property
    def stop_id(self) -> int:
        """The token that ends a completion: the chat template's own, or the tokenizer's for the plain style.

        Raises UserError where there is none.
        """
        chat = self.prompt.style == "chat"
        found = chat_template.end_of_turn(self.tokenizer, self.prompt) if chat else self.tokenizer.eos_token_id
        if found is None:
            raise data_errors.NO_STOP_TOKEN(style=self.prompt.style, where="chat template" if chat else "tokenizer")
        return found

    @property
    def thinking_opened(self) -> bool:
        """Whether the prompt itself opens the thinking, as R1's chat template does."""
        return self.sides[1].rstrip().endswith(self.prompt.thinking_tags[0])

    def examples(self, rows: list[Row]) -> list[Row]:
        """Prompts, and completions of rows with reasoning, as text and as token ids.

        A row with a tag of the thinking in its reasoning or response has no completion: graders read what follows the
        last tag. Raises UserError for a tokenizer that reads the parts of a text otherwise than the whole.
        """
        self.check_parts()
        return self._examples(rows)

    def _examples(self, rows: list[Row]) -> list[Row]:
        before, after = self.sides
        start, end = self.side_ids
        questions, out = [question_text(row, self.prompt.answer_line) for row in rows], []
        asked = self.for_questions.ids(questions, start if before else [])
        for row, question, ids in zip(rows, questions, asked, strict=True):
            about = {key: row[key] for key in ("id", "kind", "set", "split") if key in row}
            if "options" in row:
                about["letters"] = sorted(row["options"])
            out.append({**about, "prompt": before + question + after, "prompt_ids": start + ids + end})
        learned = ((one, self.completion(row)) for one, row in zip(out, rows, strict=True) if "reasoning" in row)
        answered = [(one, text) for one, text in learned if text is not None]
        completions = self.for_completions.ids([text for _, text in answered], end or TEXT)
        for (one, text), ids in zip(answered, completions, strict=True):
            one.update(completion=text, completion_ids=[*ids, self.stop_id])
        return out

    def completion(self, row: Row) -> str | None:
        """The completion as text, without the stop token; None for a row that holds a tag of the thinking."""
        texts, (opens, closes) = (row["reasoning"], row["response"]), self.prompt.thinking_tags
        if any(tag.casefold() in text.casefold() for tag in (opens, closes) for text in texts):
            return None
        opening = "" if self.thinking_opened else f"{opens}\n"
        has_line = texts[1].rstrip().rpartition("\n")[2].strip().casefold().startswith(ANSWER.casefold())
        ending = f"\n{ANSWER} {row['answer']}" if self.prompt.answer_line and "answer" in row and not has_line else ""
        return f"{opening}{texts[0]}\n{closes}\n{texts[1]}{ending}"

    def check_parts(self) -> None:
        """Raise UserError where the parts of a prompt are no parts of the whole text's tokens, but for merges."""
        if self.parts_differ:
            raise data_errors.PARTS_DIFFER(text=self.parts_differ)

    @cached_property
    def parts_differ(self) -> str:
        """Where the tokens of a sample's parts first spell something else than those of the whole; or ""."""
        (one,) = self._examples([SAMPLE])
        parts = one["prompt_ids"] + one["completion_ids"][:-1]
        whole = self.tokenizer(one["prompt"] + one["completion"], add_special_tokens=False).input_ids
        spelled = ["".join(self.tokenizer.convert_ids_to_tokens(ids)) for ids in (parts[self.adds_bos :], whole)]
        if spelled[0] == spelled[1]:
            return ""
        first = next(index for index, (one, other) in enumerate(zip_longest(*spelled)) if one != other)
        return spelled[0][max(0, first - 10) : first + 10]

    @cached_property
    def adds_bos(self) -> bool:
        """Whether a BOS token is put before the prompt: the tokenizer adds one, and the template has none."""
        bos = self.tokenizer.bos_token_id
        if bos is None or self.tokenizer("a").input_ids[:1] != [bos]:
            return False
        return Parts(self.tokenizer).ids([self.sides[0]], [])[0][:1] != [bos]

    @cached_property
    def side_ids(self) -> tuple[list[int], list[int]]:
        """The two sides as token ids, with one BOS token where the tokenizer adds one."""
        before, after = self.sides
        parts = Parts(self.tokenizer)
        bos = [self.tokenizer.bos_token_id] if self.adds_bos else []
        return bos + parts.ids([before], [])[0], parts.ids([after], TEXT)[0]

    @cached_property
    def for_questions(self) -> Parts:
        """Reads every added token as plain text."""
        return Parts(literal_tokenizer(self.tokenizer, keep=()), literal=True)

    @cached_property
    def for_completions(self) -> Parts:
        """The same, except for the tags of the thinking."""
        return Parts(literal_tokenizer(self.tokenizer, keep=tuple(self.prompt.thinking_tags)), literal=True)


def literal_tokenizer(tokenizer: Any, keep: tuple[str, ...]) -> Any:
    """A copy whose added tokens are special, those of `keep` and mere blanks excepted.

    `split_special_tokens` reads special tokens as plain text. R1's tokenizer has turn marks and tags of thinking among
    its added tokens, marked as not special; Gemma's has line ends and spaces, which are text.
    """
    from tokenizers import AddedToken

    copied = copy.deepcopy(tokenizer)
    added = [one.content for one in tokenizer.added_tokens_decoder.values() if not one.special]
    hidden = [text for text in added if text not in keep and text.strip(" \u2581\n\t\r")]
    copied.backend_tokenizer.add_special_tokens([AddedToken(text, special=True) for text in hidden])
    return copied


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
