"""Ask the fine-tuned model on a terminal; `make ask Q="…"` does it.

python -m stages.chat.ask What is sepsis?
echo "What is sepsis?" | python -m stages.chat.ask --json
python -m stages.chat.ask --base --file questions.txt
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from stages.chat import emergency, terminal, texts
from stages.files.errors import explained

INTERRUPTED, UNREAD = 130, 141  # as a shell shows Ctrl-C and a closed pipe


def main(arguments: list[str] | None = None) -> int:
    """Print the answers; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.chat.ask", description=__doc__.splitlines()[0])
    parser.add_argument("question", nargs="*", help="or Q in the environment, or standard input in a pipe")
    parser.add_argument("--base", action="store_true", help="ask the base model instead")
    parser.add_argument("--file", type=Path, help="a question on each line, or .jsonl with `question`")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each answer")
    given = parser.parse_args(arguments)
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not given.json
    signal.signal(signal.SIGINT, lambda *_: _interrupt(colored))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        _answer(list(_questions(given)), given.base, given.json, colored)
        sys.stdout.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)  # where Python's own flush at exit goes
        os.dup2(null, sys.stdout.fileno())
        os.dup2(null, sys.stderr.fileno())
        return UNREAD
    except Exception as error:
        text = explained(error)
        if text is None:  # a mistake of the code, which its traceback shows
            raise
        sys.stdout.flush()
        print("\n".join(f"ask: {line}" for line in text.splitlines()), file=sys.stderr)
        return 1
    return 0


def _questions(given: argparse.Namespace) -> Iterator[str]:
    """The questions of the arguments, a file, the environment or a pipe. Raises UserError where there are none."""
    if given.file and given.question:
        raise texts.NOT_BOTH()
    if given.file:
        found = list(_in_file(given.file))
        if not found:
            raise texts.NO_ROWS(path=given.file)
        yield from found
        return
    question = " ".join(given.question) or os.environ.get("Q", "")
    if not question.strip() and sys.stdin and not sys.stdin.isatty():
        question = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not question.strip():
        raise texts.NO_QUESTION()
    yield question.strip()


def _in_file(path: Path) -> Iterator[str]:
    from stages.data import data_errors
    from stages.data.sources import local_files

    if path.suffix == ".jsonl":
        for number, row in enumerate(local_files.read([path], []), 1):
            question = row.get("question")
            if not isinstance(question, str) or not question.strip():
                raise texts.NO_QUESTION_IN(path=path, number=number)
            yield question
        return
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise data_errors.UNREADABLE(path=path, error=error.strerror) from None
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise data_errors.NOT_UTF8(path=path, number=number) from None
        if text:
            yield text


def _answer(questions: list[str], base: bool, as_json: bool, colored: bool) -> None:
    """Print the answers to questions."""
    _say(texts.RESEARCH)
    if any(map(emergency.sounds_like_one, questions)):
        _say(emergency.LINE)
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the stages: spinning threads slow a busy machine
    gc.disable()  # none of the half million objects that imports make is garbage

    from contextlib import redirect_stdout

    from stages import params
    from stages.chat import answer, arms

    checked = params.load()
    with redirect_stdout(sys.stderr):  # what is printed on the way is no part of an answer
        _quiet()
        ((name, arm),) = arms.load(checked, base=base, tuned=not base).items()
    gc.freeze()
    gc.enable()
    if name == "base" and not base:
        _say(texts.NO_FINE_TUNE)
    for question in questions:
        if len(questions) > 1 and not as_json:
            print(f"> {question.translate(terminal.CONTROL)}\n", flush=True)
        printer, first = terminal.Printer(checked.prompt.thinking_tags, colored), None
        for found in answer.write(arm, checked, question):
            first = first or found
            if not as_json:
                printer.show(found)
        if as_json:
            _print_json(question, name, first, found)
        else:
            printer.end()
            _notices(found)


def _print_json(question: str, arm: str, first: Any, found: Any) -> None:
    from stages.files import records

    row = {name: getattr(found, name) for name in ("thinking", "text", "tokens", "finish_reason", "thinking_cut")}
    row |= {"seconds": round(found.seconds, 3), "first_token_seconds": round(first.seconds, 3), "arm": arm}
    row |= {"question": question, "answer": found.reply, "emergency": emergency.sounds_like_one(question)}
    print(records.line(row), end="", flush=True)


def _quiet() -> None:
    """Have transformers print neither warnings nor progress."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _notices(found: Any) -> None:
    if found.thinking_cut:
        _say(texts.THINKING_CUT)
    if found.finish_reason == "length":
        _say(texts.CUT_OFF.format(tokens=found.tokens))
    if found.reply is None:
        _say(texts.ONLY_THINKING)


def _interrupt(colored: bool) -> NoReturn:
    """End the process here and now: an exception would have to pass through imports and compiled code."""
    os.write(sys.stdout.fileno(), f"{terminal.NORMAL if colored else ''}\n".encode())
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
