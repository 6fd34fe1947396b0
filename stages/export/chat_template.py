"""The pipeline's prompt as a Jinja chat template, which every other runtime fills in itself.

In the plain style earlier turns are the template's own text again, an answer and a stop token between. In the chat
style it is the tokenizer's own template, with the date and the values of params written into it.
"""

import json
import re
from datetime import date
from typing import Any

from stages.data.prompts import SAMPLE, Formatter
from stages.export import export_errors
from stages.params.schema import Prompt

# Trained and evaluated without one: a system message would be another prompt than the evaluated one.
ROLES = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] or message['content'] is not string %}"
    "{{ raise_exception('A message is a text of the user or the assistant: the model was tuned without others') }}"
    "{% endif %}{% endfor %}"
)
NOW = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


def template(formatter: Formatter) -> str:
    """The chat template. Raises UserError where it would not render the pipeline's own prompt."""
    made = _chat(formatter) if formatter.prompt.style == "chat" else _plain(formatter)
    question, (before, after) = SAMPLE["question"], formatter.sides
    bos = formatter.tokenizer.bos_token if formatter.adds_bos else ""
    wanted = f"{bos}{before}{question}{after}"
    found = formatter.tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], chat_template=made, tokenize=False, add_generation_prompt=True
    )
    if found != wanted:
        raise export_errors.TEMPLATE_DIFFERS(found=found, wanted=wanted)
    return made


def _plain(formatter: Formatter) -> str:
    before, after = map(_literal, formatter.sides)
    stop = _literal(formatter.tokenizer.convert_ids_to_tokens(formatter.stop_id))
    bos = "{{ bos_token }}" if formatter.adds_bos else ""
    return (
        f"{ROLES}{bos}{{% for message in messages %}}{{% if message['role'] == 'user' %}}"
        f"{{{{ {before} + message['content'] + {after} }}}}{{% else %}}{{{{ message['content'] + {stop} }}}}"
        "{% endif %}{% endfor %}"
    )


def _chat(formatter: Formatter) -> str:
    own = formatter.tokenizer.get_chat_template()
    bos = "{{ bos_token }}" if formatter.adds_bos else ""
    pinned = "".join(
        f"{{% set {name} = {_literal(value)} %}}" for name, value in formatter.prompt.chat_template_kwargs.items()
    )
    # What begins with a blank after a block would lose it: the empty text between keeps it.
    return f"{ROLES}{pinned}{bos or _EMPTY}{_at_date(own, formatter.prompt)}"


_EMPTY = "{{ '' }}"


def _at_date(text: str, prompt: Prompt) -> str:
    """A template whose clock stands at the date of params."""
    day = date.fromisoformat(prompt.date)
    return NOW.sub(lambda call: _literal(day.strftime(call[2])), text).replace("strftime_now is defined", "true")


def _literal(value: Any) -> str:
    """A value as Jinja writes it, where a text is quoted as in JSON."""
    return json.dumps(value, ensure_ascii=False)
