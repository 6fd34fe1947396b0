"""A question with its answers, and how the page shows both: every text escaped, none read as Markdown."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from stages.chat import emergency, texts
from stages.chat.answer import Answer
from stages.chat.conversation import Turn
from stages.report import display, wording

NAMES = {"base": "Base model", "tuned": "Fine-tuned model"}
WAITING = "Waiting for its turn …"
STOPPED = "You stopped it here."
EMPTY = "The model ended without a word."


@dataclass(frozen=True)
class Exchange:
    """One question, and how far its answers are."""

    question: str
    arms: tuple[str, ...]
    state: Literal["waiting", "writing", "done", "stopped", "refused"] = "waiting"
    answers: Mapping[str, Answer] = field(default_factory=dict)
    error: str = ""  # of a question that is refused
    right: str = ""  # the right answer, where it is known
    settings: str = ""  # those that differ from the evaluated ones
    keep: bool = False  # whether it may be stored: as the visitor said before asking
    key: str = field(default_factory=lambda: secrets.token_hex(8))


def history(exchanges: Sequence[Exchange], arm: str) -> list[Turn]:
    """An arm's earlier turns: the questions to which it replied."""
    found = ((one.question, one.answers[arm].reply) for one in exchanges if arm in one.answers)
    return [Turn(question, reply) for question, reply in found if reply]


def html(exchange: Exchange, about: Mapping[str, str]) -> str:
    """The exchange as HTML; `about` says of each arm what it is.

    While it grows the elements stay the same and in order: the page then changes texts alone, and what a reader has
    unfolded stays unfolded.
    """
    arms = "".join(_arm(exchange, name, about[name]) for name in exchange.arms)
    over = exchange.state not in ("waiting", "writing")
    warning = f'<p class="emergency" role="alert">{emergency.LINE}</p>'
    return (
        f'<article class="turn" data-state="{exchange.state}">{warning * emergency.sounds_like_one(exchange.question)}'
        f'<div class="question" dir="auto">{_text(exchange.question)}</div>'
        + (f'<p class="settings">{_text(exchange.settings)}</p>' * bool(exchange.settings))
        + (f'<p class="refused" role="alert">{_text(exchange.error)}</p>' if exchange.error else "")
        + f'<div class="arms of-{len(exchange.arms)}"{_hidden(exchange.error)}>{arms}</div>'
        + f'<p class="right"{_hidden(not (exchange.right and over))}>'
        f"<b>Right answer</b> <span>{_text(exchange.right)}</span></p></article>"
    )


def _arm(exchange: Exchange, name: str, about: str) -> str:
    answer = exchange.answers.get(name, Answer())
    words = display.words(answer.thinking or "")
    reply = answer.reply
    if not reply and exchange.state in ("waiting", "writing"):
        reply = WAITING if exchange.state == "waiting" else "Thinking …" if answer.thinking else "…"
    quiet = not answer.reply
    return (
        f'<section class="arm is-{name}"><h3>{NAMES[name]} <small>{_text(about)}</small></h3>'
        f'<label class="fold"{_hidden(answer.thinking is None)}><input type="checkbox"> '
        f"<span>Reasoning, {wording.plural(words, 'word')}</span></label>"
        f'<div class="thinking" dir="auto">{_text(answer.thinking or "")}</div>'
        f'<div class="reply{" quiet" * quiet}" dir="auto">{_text(reply or "")}</div>'
        f'<p class="notices">{"<br>".join(_notices(exchange, answer))}</p>'
        f'<p class="cost">{_cost(answer)}</p></section>'
    )


def _notices(exchange: Exchange, answer: Answer) -> Iterator[str]:
    """What a reader must know of an answer beside its words."""
    if answer.dropped:
        yield texts.DROPPED_TURNS.format(dropped=answer.dropped)
    if answer.thinking_cut:
        yield texts.THINKING_CUT
    if answer.finish_reason == "length":
        yield texts.CUT_OFF.format(tokens=answer.tokens)
    if exchange.state == "stopped" and answer.finish_reason is None:
        yield STOPPED
    if answer.state == "open" and (answer.finish_reason or exchange.state == "stopped"):
        yield texts.ONLY_THINKING
    elif answer.finish_reason == "stop" and not answer.reply:
        yield EMPTY


def _cost(answer: Answer) -> str:
    if not answer.tokens:
        return ""
    speed = f", {answer.tokens / answer.seconds:.1f} a second" if answer.seconds else ""
    return f"{wording.plural(answer.tokens, 'token')} in {answer.seconds:.1f} s{speed}"


def _text(text: str) -> str:
    return escape(display.clean(text))


def _hidden(hide: object) -> str:
    return " hidden" if hide else ""
