"""`make serve`: an OpenAI-compatible endpoint answers as the pipeline does, for clients of others."""

import copy
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stages import params
from stages.data.prompts import Formatter
from stages.export import NAME, response_template, serve
from stages.params.__main__ import use
from tests.conftest import ROOT, save_adapter

pytestmark = pytest.mark.slow

for package in ("fastapi", "openai", "uvicorn"):
    pytest.importorskip(package)

QUESTIONS = ["A man of 70 has a fever: what is his score?", "Short.", "Urea 9,2 – müde, 38.5 °C?\nAnd <b>now</b>?"]


@pytest.fixture(scope="module")
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def exported(committed_text, tmp_path_factory):
    """A repository root with an adapter, its merged export, and the pipeline's answers to QUESTIONS."""
    from stages.export import ADAPTER, EXPORT
    from stages.export import __main__ as export
    from stages.generate import answers
    from stages.model import load

    root = tmp_path_factory.mktemp("served")
    shutil.copytree(ROOT / "presets", root / "presets")
    (root / "params.yaml").write_text(committed_text.replace("[merged, gguf]", "[merged]"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        use("tiny")
        chosen = params.load()
        save_adapter(chosen, ADAPTER)
        model = answers.load_model(chosen, adapter=ADAPTER, **chosen.adapter.model_dump())
        rows = [{"id": str(index), "set": "free", "question": text} for index, text in enumerate(QUESTIONS)]
        prompts = Formatter(model.tokenizer, chosen.prompt).examples(rows)
        # One more stop token, as chat templates have: the last plain letter of the first answer that is new there.
        given = torch.tensor([prompts[0]["prompt_ids"]])
        ids = model.network.generate(given, max_new_tokens=12, do_sample=False)[0, given.shape[1] :].tolist()
        letters = [one for one in dict.fromkeys(ids) if model.tokenizer.decode([one]).isascii()]
        stop = letters[-1]
        found = load._stop_ids
        patch.setattr(load, "_stop_ids", lambda *named_in: found(*named_in) | {stop})
        model = answers.load_model(chosen, adapter=ADAPTER, **chosen.adapter.model_dump())
        written = answers.answer(model, prompts, chosen, {})
        export.write(chosen, EXPORT)
    return SimpleNamespace(root=root, params=chosen, model=model, answers=written)


def start(exported, port, **more):
    """`python -m stages.export.serve` in the repository root, with a home of its own."""
    environment = {"PYTHONPATH": str(ROOT), "PORT": str(port), "HOME": str(exported.root), **more}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.export.serve"],
        cwd=exported.root, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(exported, port):
    """The base URL of a running server."""
    process = start(exported, port)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def ask(server, exported):
    """Ask by the openai client; returns the text and why it ended."""
    from openai import OpenAI

    def asked(question, stream=False, **more):
        given = {"model": NAME, "messages": [{"role": "user", "content": question}], **more}
        given.setdefault("max_tokens", exported.params.generation.max_new_tokens)
        with OpenAI(base_url=server, api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(**given, stream=stream)
            if not stream:
                return answer.choices[0].message.content, answer.choices[0].finish_reason
            pieces = [piece.choices[0] for piece in answer]
        return "".join(piece.delta.content or "" for piece in pieces), pieces[-1].finish_reason

    return asked


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_client_gets_the_pipelines_answers(ask, exported, stream):
    found = [ask(question, stream) for question in QUESTIONS]
    assert found == [(row["text"], row["finish_reason"]) for row in exported.answers]


def test_answers_end_at_every_stop_token_and_at_the_limit_of_the_request(ask, exported):
    assert exported.answers[0]["finish_reason"] == "stop"
    index = next(index for index, row in enumerate(exported.answers) if row["finish_reason"] == "length")
    text, ended = ask(QUESTIONS[index], max_tokens=3)
    assert ended == "length"
    assert len(text) < len(exported.answers[index]["text"])


def test_a_client_of_plain_http_finds_the_model_by_its_name_and_gets_the_same(server, exported):
    with urllib.request.urlopen(f"{server}/models", timeout=30) as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == [NAME]
    asked = {"messages": [{"role": "user", "content": QUESTIONS[0]}], "max_tokens": 12, "stream": True}
    request = urllib.request.Request(
        f"{server}/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        pieces = [json.loads(line[6:])["choices"][0]["delta"] for line in answer if line.startswith(b"data: {")]
    assert "".join(piece.get("content") or "" for piece in pieces) == exported.answers[0]["text"]


def test_a_system_message_is_refused_and_the_server_goes_on(ask, exported):
    from openai import InternalServerError

    with pytest.raises(InternalServerError):
        ask(QUESTIONS[0], messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}])
    assert ask(QUESTIONS[0])[0] == exported.answers[0]["text"]


def test_it_listens_on_this_machine_alone_and_leaves_a_taken_port_to_its_owner(server, exported, port):
    second = start(exported, port)
    assert second.communicate(timeout=60)[0].splitlines() == [
        f"port {port} of 127.0.0.1: Address already in use: make serve PORT={port + 1}"
    ]
    assert second.returncode == 1
    inodes = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    local = [line.split()[1] for line in inodes.splitlines()[1:] if line.split()[3] == "0A"]  # listens
    assert [address for address in local if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize(
    ("edit", "more", "line"),
    [
        (lambda root: None, {"PORT": "http"}, "PORT=http: no number from 1 to 65535: make serve PORT=8000"),
        (
            lambda root: (root / "params.yaml").write_text(
                (root / "params.yaml").read_text().replace("scale: 1.0", "scale: 0.5")
            ),
            {},
            "models/export: of another adapter or other params: `make export` makes it again",
        ),
        (
            lambda root: shutil.rmtree(root / "models/export"),
            {},
            "models/export/merged: not found: `make export` makes it, with merged among export.formats",
        ),
    ],
)
def test_what_cannot_be_served_is_one_line(exported, tmp_path, monkeypatch, capsys, edit, more, line):
    root = shutil.copytree(exported.root, tmp_path / "root")
    edit(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PORT", more.get("PORT", ""))
    assert serve.main() == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_vllm_is_told_to_be_greedy_and_to_fit_where_there_is_a_gpu(exported, monkeypatch):
    monkeypatch.chdir(exported.root)
    monkeypatch.setattr(serve, "_has_vllm", lambda: True)
    called = []
    monkeypatch.setattr("os.execve", lambda *given: called.append(given))
    monkeypatch.setenv("PORT", "8765")
    serve.main()
    [(program, command, environment)] = called
    assert (program, command[1:5]) == (
        sys.executable,
        ["-m", "vllm.entrypoints.cli.main", "serve", "models/export/merged"],
    )
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options == {
        "--max-model-len": "auto",
        "--override-generation-config": '{"temperature": 0.0}',
        "--served-model-name": NAME,
        "--host": "127.0.0.1",
        "--port": "8765",
    }
    assert environment["HF_HUB_OFFLINE"] == environment["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_no_thinking_and_no_stop_token_is_lost_or_added_by_the_servers_parser(tiny, tiny_tokenizer, family, opened):
    from transformers.cli.serving.utils import build_response_parser, parse_assistant_message, response_events_to_chunks

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>", "<|eot_id|>"]})
    template = tiny.prompt.template + ("<think>\n" if opened else "")
    formatter = Formatter(tokenizer, tiny.prompt.model_copy(update={"template": template}))
    [row] = formatter.examples([{"id": "", "set": "free", "question": "What?"}])
    text = f"{'' if opened else '<think>'} a\n</think>\nThe answer is <b>.\n"
    ids = tokenizer(f"{text}<|eot_id|>", add_special_tokens=False).input_ids
    model = SimpleNamespace(config=SimpleNamespace(model_type=family))

    def answered():
        whole, *others = parse_assistant_message(tokenizer, model, ids, row["prompt_ids"], tokenizer.decode(ids, True))
        parser = build_response_parser(tokenizer, model, row["prompt_ids"])
        if parser is None:
            return whole, others, whole
        events = [*parser.initial_events, *(event for one in ids for event in parser.feed(tokenizer.decode([one])))]
        pieces = response_events_to_chunks([*events, *parser.finalize()[1]])
        return whole, others, "".join(map(str, pieces))

    wanted = ("<think>\n" if opened else "") + text
    assert answered()[0] != wanted  # the server's own ways
    tokenizer.response_template = response_template.template(formatter, [tokenizer.eos_token, "<|eot_id|>"])
    assert answered() == (wanted, [None, None], wanted)
