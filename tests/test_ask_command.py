"""`python -m stages.chat.ask` in all its forms: arguments, the environment, a pipe, a file, JSON, a terminal."""

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from stages.chat import ask, emergency, terminal, texts
from stages.chat.answer import Answer
from stages.params.__main__ import edited
from tests.conftest import ROOT, save_adapter

COMMAND = [sys.executable, "-m", "stages.chat.ask"]


@pytest.fixture(scope="module")
def tuned_folder(tiny, tmp_path_factory):
    """A repository root after a run of the tiny preset: its params and an adapter."""
    folder = tmp_path_factory.mktemp("tuned")
    with contextlib.chdir(ROOT):
        text = edited("tiny")[0]
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    save_adapter(tiny, folder / "models/adapter")
    return folder


@pytest.fixture
def folder(tuned_folder, monkeypatch):
    monkeypatch.chdir(tuned_folder)
    monkeypatch.delenv("Q", raising=False)
    monkeypatch.setenv("AI_MEDICAL_CHATBOT_CACHE", str(tuned_folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tuned_folder


@pytest.fixture
def piped(monkeypatch):
    """Put a text where standard input is a pipe."""

    def put(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    put(b"")
    return put


@pytest.fixture
def told(folder, piped, capsys):
    """Run the command; returns its exit status and what it printed on both streams."""

    def run(*arguments):
        status = ask.main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return run


def asked(told, *arguments):
    status, out, err = told("--json", *arguments)
    assert (status, err.splitlines()[0]) == (0, texts.RESEARCH)
    return [json.loads(line) for line in out.splitlines()]


def test_a_question_may_stand_in_the_arguments_the_environment_a_pipe_and_a_file(told, piped, monkeypatch, folder):
    (folder / "one.txt").write_bytes("\ufeffWhat is it — é?\n\n".encode())
    (folder / "one.jsonl").write_text('{"question": "What is it — é?", "answer": "x"}\n', encoding="utf-8")
    found = [asked(told, "What is", "it — é?"), asked(told, "--file", "one.txt"), asked(told, "--file", "one.jsonl")]
    piped("What is it — é?\n".encode())
    found.append(asked(told))
    monkeypatch.setenv("Q", "What is it — é?")
    found.append(asked(told))
    for (row,) in found:
        assert row["question"] == "What is it — é?"
        assert row["text"] == found[0][0]["text"]


def test_json_has_a_line_for_each_answer_and_nothing_else_on_standard_output(told, folder):
    (folder / "many.txt").write_text("What is aspirin?\nI have chest pain\n", encoding="utf-8")
    rows = asked(told, "--file", "many.txt")
    assert [row["question"] for row in rows] == ["What is aspirin?", "I have chest pain"]
    assert [row["emergency"] for row in rows] == [False, True]
    for row in rows:
        assert set(row) == {
            "question", "thinking", "answer", "text", "tokens", "finish_reason", "thinking_cut", "seconds",
            "first_token_seconds", "arm", "emergency",
        }  # fmt: skip
        assert row["arm"] == "tuned"
        assert 0 < row["first_token_seconds"] <= row["seconds"]
        assert row["tokens"] == 12


def test_the_base_model_answers_where_it_is_asked_for_or_alone(told, folder):
    (tuned,), (base,) = asked(told, "Why?"), asked(told, "--base", "Why?")
    assert (tuned["arm"], base["arm"]) == ("tuned", "base")
    assert tuned["text"] != base["text"]
    (folder / "models").rename(folder / "away")
    try:
        status, out, err = told("--json", "Why?")
    finally:
        (folder / "away").rename(folder / "models")
    alone = json.loads(out)
    assert (status, alone["arm"], alone["text"]) == (0, "base", base["text"])
    assert err.splitlines() == [texts.RESEARCH, texts.NO_FINE_TUNE]


def test_an_answer_is_printed_plain_where_nobody_sees_colors(told):
    (row,) = asked(told, "Why?")
    status, out, err = told("Why?")
    assert (status, out) == (0, row["answer"].translate(terminal.CONTROL) + "\n")
    assert err.splitlines() == [texts.RESEARCH, texts.CUT_OFF.format(tokens=12)]


def test_several_questions_stand_above_their_answers(told, folder):
    (folder / "many.txt").write_text("What?\nWhy?\n", encoding="utf-8")
    _, out, _ = told("--file", "many.txt")
    answers = [row["answer"].translate(terminal.CONTROL) for row in asked(told, "--file", "many.txt")]
    assert out == f"> What?\n\n{answers[0]}\n> Why?\n\n{answers[1]}\n"


def test_what_sounds_like_an_emergency_is_said_first(told):
    _, _, err = told("My father has chest pain")
    assert err.splitlines()[:2] == [texts.RESEARCH, emergency.LINE]


WRONG = {
    "nothing": ([], {}, r"ask: there is no question: ask one, as in make ask Q="),
    "blanks": (["  "], {}, r"ask: there is no question"),
    "two": (["Why?", "--file", "none.txt"], {}, r"ask: a question and --file: give one of them"),
    "no file": (["--file", "none.txt"], {}, r"ask: none\.txt: cannot be read: No such file"),
    "no rows": (["--file", "x.jsonl"], {"x.jsonl": b"none"}, r"ask: x\.jsonl, line 1: no JSON"),
    "no column": (["--file", "x.jsonl"], {"x.jsonl": b'{"q": "Why?"}'}, r"ask: x\.jsonl, row 1: no question: each row"),
    "no list": (["--file", "x.jsonl"], {"x.jsonl": b"[1]"}, r"ask: x\.jsonl, row 1: list, not an object"),
    "empty": (["--file", "x.txt"], {"x.txt": b"\n"}, r"ask: x\.txt: there is no question in it"),
    "not UTF-8": (["--file", "x.txt"], {"x.txt": b"a\n\xe9"}, r"ask: x\.txt, line 2: not UTF-8"),
    "too long": (["--file", "x.txt"], {"x.txt": b"fever " * 20000}, r"ask: the question is too long: 120,0"),
    "no params": (["Why?"], {"params.yaml": b"model: 1"}, r"ask: params\.yaml: "),
}


@pytest.mark.parametrize(("arguments", "files", "line"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(told, folder, tmp_path, monkeypatch, arguments, files, line):
    (tmp_path / "params.yaml").write_bytes((folder / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    status, out, err = told(*arguments)
    assert (status, out) == (1, "")
    assert re.match(line, err.splitlines()[-1]), err
    assert all(
        line.startswith("ask: ") for line in err.splitlines() if line not in (texts.RESEARCH, texts.NO_FINE_TUNE)
    )


def test_a_closed_standard_input_holds_no_question(folder):
    done = subprocess.run(f"{' '.join(COMMAND)} <&-", shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"ask: {texts.NO_QUESTION}\n")


def test_a_closed_pipe_is_quiet(folder):
    done = subprocess.run(
        f"{' '.join(COMMAND)} Why | true; echo ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash",
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{ask.UNREAD}\n"
    assert done.stderr.splitlines() == [texts.RESEARCH]


def on_terminal(*arguments, interrupt=None, **environment):
    """What a terminal shows, and the exit status; `interrupt` is a text at which Ctrl-C is sent."""
    parent, child = pty.openpty()
    command = subprocess.Popen(
        [*COMMAND, *arguments], stdin=child, stdout=child, stderr=child, env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), start_new_session=True,
    )  # fmt: skip
    os.close(child)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(parent, 4096):
            shown += data
            if interrupt and interrupt in shown.decode(errors="replace"):
                command.send_signal(signal.SIGINT)
                interrupt = None
    os.close(parent)
    return shown.decode().replace("\r\n", "\n"), command.wait()


def test_a_terminal_without_a_question_is_told_how(folder):
    shown, status = on_terminal()
    assert (shown, status) == (f"ask: {texts.NO_QUESTION}\n", 1)


def test_ctrl_c_ends_with_a_new_line_at_any_time(folder):
    begin = time.monotonic()
    shown, status = on_terminal("Why?", interrupt=f"{texts.RESEARCH}\r\n")
    assert (shown, status) == (f"{texts.RESEARCH}\n{terminal.NORMAL}\n", 130)
    assert time.monotonic() - begin < 30


@pytest.fixture
def printed(capsys):
    """What is printed of an answer that grows."""

    def show(answers, colored):
        printer = terminal.Printer(["<think>", "</think>"], colored)
        for one in answers:
            printer.show(one)
        printer.end()
        return capsys.readouterr().out

    return show


GROWING = [Answer(), Answer(thinking="It", state="open"), Answer(thinking="It is", state="open")]
GROWING += [Answer(thinking="It is so", reply=reply, state="closed") for reply in ("", "Y", "Yes.\x1b[31m")]


def test_the_thinking_is_dimmed_or_stands_between_its_tags(printed):
    assert printed(GROWING, True) == "\x1b[2mIt is so\x1b[0m\n\nYes.\ufffd[31m\n"
    assert printed(GROWING, False) == "<think>\nIt is so\n</think>\nYes.\ufffd[31m\n"
    assert printed(GROWING[:3], True) == "\x1b[2mIt is\x1b[0m\n"
    assert printed(GROWING[:3], False) == "<think>\nIt is\n"


def test_what_becomes_thinking_later_is_not_printed_twice(printed):
    late = [Answer(reply="It is"), Answer(thinking="It is so", reply="Yes", state="closed")]
    assert printed(late, True) == "It is\x1b[2m so\x1b[0m\n\nYes\n"


@pytest.mark.parametrize(("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_colors_are_for_a_terminal_without_no_color(told, monkeypatch, environment, colored):
    seen = []
    monkeypatch.setattr(ask, "_answer", lambda *given: seen.append(given[-1]))
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told("Why?")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    told("Why?")
    told("--json", "Why?")
    assert seen == [False, colored, False]
