"""What the page does when somebody asks: both arms answer, and what they write is shown as it grows."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import gradio as gr

from stages.chat import about, examples, saved, texts, turns
from stages.chat.answer import Answer, side_by_side
from stages.chat.turns import Exchange
from stages.files.errors import explained
from stages.model.load import LoadedModel
from stages.params.schema import Generation, Params

SAMPLING = ("temperature", "top_p", "max_new_tokens", "seed")
BLANK = "Write a question first."
BUSY = "An answer is being written: wait for its end, or stop it."
LATE = 0.5  # seconds that the last picture of a stopped answer may be on its way
PAUSE = 0.08  # seconds between two pictures of an answer that grows
Shown = tuple[str, list[Exchange]]


class Replies:
    """The page's answers; each conversation's exchanges are its visitor's own, and end with the visit."""

    def __init__(self, params: Params, arms: Mapping[str, LoadedModel]) -> None:
        """Read what stands beside the conversation."""
        self.params, self.arms = params, arms
        self.examples = examples.read(params)
        self.right = {one.question: one.answer for one in self.examples}
        name = about.base_name(params)
        self.about = {"base": f"{name} as published", "tuned": f"{name} with this run’s adapter"}
        self.columns = params.dataset.files.columns
        # One thread for all that the models do: a generator's steps would otherwise run in whichever is free.
        self.worker = ThreadPoolExecutor(1)
        self.over: set[str] = set()  # keys of exchanges: Gradio may end a step later than the next begins

    def ask(
        self, question: str, who: str, talk: list[Exchange], keep: bool, *sampling: float | None
    ) -> tuple[Any, ...]:
        """Show a question at once, and its emergency line, before its turn comes."""
        if refused := BLANK if not question.strip() else BUSY if self._is_open(talk) else "":
            raise gr.Error(refused, print_exception=False)
        one = Exchange(
            question, self._chosen(who), right=self.right.get(question, ""), settings=self._changed(sampling), keep=keep
        )
        talk = [*talk, one]
        return "", self.html(talk), talk, *_buttons(busy=True)

    def again(self, who: str, talk: list[Exchange], keep: bool, *sampling: float | None) -> tuple[Any, ...]:
        """Ask the last question once more, of whom and as is chosen now; a sample gets the next seed."""
        settings = self._settings(sampling)
        seed = (settings.seed + bool(settings.temperature)) % 2**32
        _, *shown = self.ask(talk[-1].question, who, talk[:-1], keep, *sampling[:-1], seed)
        return seed, *shown

    def write(self, talk: list[Exchange], *sampling: float | None) -> Iterator[Shown]:
        """The conversation as its last answers grow."""
        if not self._is_open(talk):
            return
        *earlier, one = talk
        arms = {name: self.arms[name] for name in one.arms}
        histories = {name: turns.history(earlier, name) for name in arms}
        before, shown = self.html(earlier), 0.0
        try:
            pieces = side_by_side(arms, self.params, one.question, histories, self._settings(sampling))
            for answers in self._steps(pieces):
                one = replace(one, state="writing", answers=answers)
                if one.key in self.over:  # shown as stopped already, and another may have been asked since
                    return
                if time.monotonic() - shown > PAUSE:
                    yield before + turns.html(one, self.about), [*earlier, one]
                    shown = time.monotonic()
            one = replace(one, state="done")
        except Exception as error:
            text = explained(error)
            if text is None:  # a mistake of the code, which its traceback shows
                self.over.add(one.key)
                raise
            one = replace(one, state="refused", error=text[:1].upper() + text[1:])
        yield before + turns.html(one, self.about), [*earlier, one]

    def _steps(self, pieces: Iterator[dict[str, Answer]]) -> Iterator[dict[str, Answer]]:
        try:
            while (answers := self.worker.submit(next, pieces, None).result()) is not None:
                yield answers
        finally:  # stopped, or the visitor is gone: the models are free for the next
            self.worker.submit(pieces.close).result()

    def stop(self, talk: list[Exchange]) -> tuple[Any, ...]:
        """What there is of the last answers, marked as stopped."""
        if self._is_open(talk):
            self.over.add(talk[-1].key)
            talk = [*talk[:-1], replace(talk[-1], state="stopped")]
        return self.html(talk), talk, *_buttons(busy=False)

    def stopped(self, talk: list[Exchange]) -> tuple[Any, ...]:
        """The stopped answers once more: a picture of them may have been on its way, and come last."""
        # Also where they are kept as stopped: what a visitor sees and what is kept may arrive in another order.
        if not talk or talk[-1].key not in self.over or talk[-1].state not in ("waiting", "writing", "stopped"):
            return gr.skip(), gr.skip()
        talk = [*talk[:-1], replace(talk[-1], state="stopped")]
        return self.html(talk), talk

    def done(self, talk: list[Exchange]) -> tuple[Any, ...]:
        """Free the buttons."""
        return _buttons(busy=self._is_open(talk))

    def keep(self, talk: list[Exchange], keep: bool, conversation: str) -> None:
        """Store the last question and its answers where the visitor asked for that before it, and still does."""
        if keep and talk and talk[-1].keep and talk[-1].state == "done" and talk[-1].key not in self.over:
            self.over.add(talk[-1].key)
            try:
                saved.save(self.columns, talk[-1].question, talk[-1].answers, conversation)
            except OSError as error:
                reason = texts.NOT_KEPT.format(path=saved.path(), error=error.strerror)
                raise gr.Error(reason, print_exception=False) from None

    def html(self, talk: list[Exchange]) -> str:
        """The conversation."""
        return "".join(turns.html(one, self.about) for one in talk)

    def _is_open(self, talk: list[Exchange]) -> bool:
        """Whether the last question still waits for its answers."""
        return bool(talk) and talk[-1].state in ("waiting", "writing") and talk[-1].key not in self.over

    def _chosen(self, who: str) -> tuple[str, ...]:
        return tuple(name for name in self.arms if who in (name, "both"))

    def _settings(self, sampling: tuple[float | None, ...]) -> Generation:
        values = self.params.generation.model_dump()
        given = {name: value for name, value in zip(SAMPLING, sampling, strict=True) if value is not None}
        return Generation.model_validate(values | given)

    def _changed(self, sampling: tuple[float | None, ...]) -> str:
        settings = self._settings(sampling)
        evaluated = self.params.generation
        found = [name for name in SAMPLING if getattr(settings, name) != getattr(evaluated, name)]
        return ", ".join(
            f"{name} {getattr(settings, name):.10g} (evaluated: {getattr(evaluated, name):.10g})" for name in found
        )


def _buttons(*, busy: bool) -> tuple[Any, ...]:
    """Ask, stop, ask again and new conversation, while an answer is written or not."""
    return gr.update(interactive=not busy), gr.update(interactive=busy), *[gr.update(interactive=not busy)] * 2
