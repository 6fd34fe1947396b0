"""A GGUF file as anybody runs it: llama.cpp's server (xllamacpp) with the chat template that is in the file."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from stages.export import export_errors
from stages.export.runtimes import STEPS, TOP
from stages.files.records import Row
from stages.params.schema import Params

PACKAGE = "xllamacpp"
SLOTS = 32  # answers at a time
POSITIONS = 32_768  # of all slots: of an 8B, 4 GB of keys and values


def answers(path: Path, questions: list[str], params: Params, room: int) -> Iterator[tuple[int, Row]]:
    """Yield each question's index and its greedy answer as it comes; `room` are the tokens of the longest of both.

    Raises UserError where xllamacpp is missing, or llama.cpp does not load the file or refuses a question.
    """
    server = _server(path, room, max(1, min(SLOTS, len(questions), POSITIONS // room)), params.model.threads)
    prompts = [prompt(server, question) for question in questions]

    def ask(index: int) -> tuple[int, Row]:
        reply = server.handle_completions(
            {
                "prompt": prompts[index],
                "n_predict": params.generation.max_new_tokens,
                "temperature": 0,
                "n_probs": TOP,
                "cache_prompt": False,
            }
        )
        if "choices" not in reply:
            raise export_errors.REFUSED(path=path, error=json.dumps(reply.get("error", reply)))
        choice = reply["choices"][0]
        steps = (choice["logprobs"] or {"content": []})["content"][:STEPS]
        return index, {
            "prompt_ids": prompts[index],
            "text": choice["text"],
            "finish_reason": choice["finish_reason"],
            "token_ids": [step["id"] for step in steps],
            "likely": [[(one["id"], round(one["logprob"], 4)) for one in step["top_logprobs"]] for step in steps],
        }

    pool = ThreadPoolExecutor(SLOTS)
    try:
        for done in as_completed([pool.submit(ask, index) for index in range(len(questions))]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def prompt(server: Any, question: str) -> list[int]:
    """The token ids of one question in the chat template of the file."""
    text = _post(server, "apply-template", {"messages": [{"role": "user", "content": question}]})["prompt"]
    return _post(server, "tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]


def _server(path: Path, room: int, slots: int, threads: int) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise export_errors.NO_LLAMA_CPP(error=error) from None
    given = xllamacpp.CommonParams()
    given.model.path = str(path)
    given.n_parallel, given.n_ctx = slots, slots * room
    given.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    given.verbosity, given.warmup, given.ui = -1, False, False
    # Its threads spin where they wait for each other: with more than there are processors, all are slow.
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    try:
        return xllamacpp.Server(given)
    except RuntimeError as error:
        raise export_errors.REFUSED(path=path, error=error) from None


def _post(server: Any, name: str, body: Row) -> Row:
    request = urllib.request.Request(
        f"{server.listening_address}/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine
    with opener.open(request) as reply:
        found: Row = json.loads(reply.read())
    return found
