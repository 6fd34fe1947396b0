"""`make serve`: an OpenAI-compatible endpoint answers as the pipeline does, for clients of others."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pytest

from stages import params
from stages.params.__main__ import use
from tests.conftest import ROOT, save_adapter

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
    from stages.data.prompts import Formatter
    from stages.export import ADAPTER, EXPORT, MERGED, merged
    from stages.generate import answers

    root = tmp_path_factory.mktemp("served")
    shutil.copytree(ROOT / "presets", root / "presets")
    (root / "params.yaml").write_text(committed_text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        use("tiny")
        chosen = params.load()
        save_adapter(chosen, ADAPTER)
        merged.write(chosen, EXPORT / MERGED)
        model = answers.load_model(chosen, adapter=ADAPTER, **chosen.adapter.model_dump())
        rows = [{"id": str(index), "set": "free", "question": text} for index, text in enumerate(QUESTIONS)]
        written = answers.answer(model, Formatter(model.tokenizer, chosen.prompt).examples(rows), chosen, {})
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
        given = {"model": "ai-medical-chatbot", "messages": [{"role": "user", "content": question}], **more}
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
