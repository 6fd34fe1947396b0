"""A tokenizer's chat template: the text before an answer, and the token that ends one."""

from typing import Any

from stages.data import data_errors
from stages.params.schema import Prompt

PLACEHOLDER, MARK = "{question}", "ANSWER"
RENDERINGS = 16  # a template that tosses a coin gives the same text so often once in 32,768 runs


def text(tokenizer: Any, prompt: Prompt) -> str:
    """The template's text around the placeholder, with the clock at the date in params.

    Raises UserError for a template that is missing, fails, does not read a key of chat_template_kwargs, or prints a
    random text.
    """
    if not tokenizer.chat_template:
        raise data_errors.NO_CHAT_TEMPLATE()
    if unread := prompt.chat_template_kwargs.keys() - _names(tokenizer):
        raise data_errors.UNREAD_KWARG(key=min(unread))
    turns = [{"role": "user", "content": PLACEHOLDER}]
    found = {_rendered(tokenizer, turns, prompt, add_generation_prompt=True) for _ in range(RENDERINGS)}
    if len(found) > 1:
        raise data_errors.RANDOM_CHAT_TEMPLATE()
    return found.pop()


def end_of_turn(tokenizer: Any, prompt: Prompt | None = None) -> int | None:
    """The id of the first added token after an assistant's turn; None where the template prints none."""
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": PLACEHOLDER}, {"role": "assistant", "content": MARK}]
    try:
        after = _rendered(tokenizer, turns, prompt).rpartition(MARK)
    except data_errors.UserError:  # it cannot print an answer
        return None
    ids = tokenizer(after[2], add_special_tokens=False).input_ids if after[1] else []
    return next((one for one in ids if one in tokenizer.added_tokens_decoder), None)


def _names(tokenizer: Any) -> set[str]:
    """The names in a template's code: not those in its text, nor parts of names."""
    from jinja2 import Environment, TemplateError

    try:
        return {name for _, kind, name in Environment().lex(tokenizer.get_chat_template()) if kind == "name"}
    except (TemplateError, ValueError) as error:  # ValueError: several templates, and none of them the default
        raise data_errors.CHAT_TEMPLATE_FAILED(error=error) from None


def _rendered(tokenizer: Any, turns: list[dict[str, str]], prompt: Prompt | None, **options: Any) -> str:
    from datetime import date

    from jinja2 import TemplateError

    day = date.fromisoformat(prompt.date) if prompt else date.min
    options |= prompt.chat_template_kwargs if prompt else {}
    try:  # a name among the options stands before transformers' own, which is the machine's clock
        return tokenizer.apply_chat_template(turns, tokenize=False, **options | {"strftime_now": day.strftime})
    except (ArithmeticError, LookupError, TemplateError, TypeError, ValueError) as error:  # it may raise what it likes
        raise data_errors.CHAT_TEMPLATE_FAILED(error=error) from None
