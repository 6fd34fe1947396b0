"""Serve the exported model behind an OpenAI-compatible endpoint: vLLM where there is a GPU, else `transformers serve`.

usage: PORT=8000 python -m stages.export.serve
"""

import errno
import json
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from stages import params
from stages.export import EXPORT, MERGED, NAME, export_errors, record
from stages.files.errors import explained
from stages.params.schema import Params

HOST, PORT = "127.0.0.1", "8000"
REVISION = "0" * 40  # a hub cache has one of each model
CACHE = EXPORT / "hub"
NEEDED = ("fastapi", "openai", "uvicorn")  # by `transformers serve`
# No server asks the Hub, looks for an update, or reports what is done with it.
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "DO_NOT_TRACK": "1"}
SERVING = "http://{host}:{port}/v1: {name}, by {server}. Research software, no medical advice. Ctrl-C ends it."


def transformers_server(chosen: Params, port: str) -> tuple[list[str], dict[str, str]]:
    """The command of `transformers serve`, and its environment."""
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", NAME, "--host", HOST, "--port", port]
    return command, {"HF_HUB_CACHE": str(_cache()), "OMP_NUM_THREADS": str(chosen.model.threads)}


def vllm_server(chosen: Params, port: str) -> tuple[list[str], dict[str, str]]:
    """The command of vLLM's server, and its environment."""
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(EXPORT / MERGED)]
    command += vllm_options(chosen, EXPORT / MERGED)
    return [*command, "--served-model-name", NAME, "--host", HOST, "--port", port], {}


def vllm_options(chosen: Params, folder: Path) -> list[str]:
    """What vLLM has to be told beside the folder of the merged model.

    By itself it samples at temperature 1 where a generation config is greedy, does not start where the model's longest
    context does not fit into the GPU, and leaves out the `<think>` that a prompt ends in.
    """
    options = ["--max-model-len", "auto"]
    if not chosen.generation.temperature:
        options += ["--override-generation-config", json.dumps({"temperature": 0.0})]
    return options + (["--reasoning-parser", "deepseek_r1"] if _opens_thinking(chosen, folder) else [])


def _opens_thinking(chosen: Params, folder: Path) -> bool:
    """Whether the prompt ends in the opening tag, and both tags are the tokens that R1's parser looks for."""
    from transformers import AutoTokenizer

    tokenizer, (opens, closes) = AutoTokenizer.from_pretrained(folder), chosen.prompt.thinking_tags
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
    )
    known = (opens, closes) == ("<think>", "</think>") and {opens, closes} <= tokenizer.get_vocab().keys()
    return known and prompt.rstrip().endswith(opens)


def _cache() -> Path:
    """A hub cache with the export alone: `transformers serve` lists the models of its cache, and no folder."""
    home = CACHE / f"models--{NAME}"
    for folder in ("refs", "snapshots"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "refs/main").write_text(REVISION, encoding="utf-8")
    link = home / "snapshots" / REVISION
    link.unlink(missing_ok=True)
    link.symlink_to((EXPORT / MERGED).resolve())
    return CACHE.resolve()


def _free_port(given: str) -> str:
    """The port, where it is one and is free."""
    if not (given.isascii() and given.isdecimal() and 0 < int(given) < 65536):
        raise export_errors.PORT(given=given)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: one that just ended is free
        try:
            probe.bind((HOST, int(given)))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise export_errors.PORT_TAKEN(
                host=HOST, port=given, error=error.strerror, other=int(given) % 65535 + 1
            ) from None
    return given


def _has_vllm() -> bool:
    if find_spec("vllm") is None:
        return False
    import torch

    return torch.cuda.is_available()


def main() -> int:
    """Become the server; returns the exit status where that is not possible."""
    try:
        chosen, port = params.load(), _free_port(os.environ.get("PORT") or PORT)
        if not (EXPORT / MERGED).is_dir():
            raise export_errors.NO_MERGED(path=EXPORT / MERGED)
        if not record.is_current(chosen):
            raise export_errors.STALE(path=EXPORT)
        server, make = ("vLLM", vllm_server) if _has_vllm() else ("transformers serve", transformers_server)
        if make is transformers_server and (missing := [name for name in NEEDED if find_spec(name) is None]):
            raise export_errors.NOT_INSTALLED(names=", ".join(missing))
        command, environment = make(chosen, port)
    except Exception as error:
        if (line := explained(error)) is None:
            raise
        print(line, file=sys.stderr)
        return 1
    print(SERVING.format(host=HOST, port=port, name=NAME, server=server), flush=True)
    os.execve(command[0], command, os.environ | QUIET | environment)


if __name__ == "__main__":
    sys.exit(main())
