"""Programs `python` and `dvc` that fork a process which has the libraries: to import them is most of a tiny stage."""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = [
    "dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.repo.experiments", "torch", "peft", "datasets",
    "trl.trainer.sft_trainer", "wandb.sdk.launch", "transformers.models.llama.modeling_llama", "scipy.stats",
    "matplotlib.figure", "statsmodels.stats.proportion",
]  # fmt: skip
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    code = server.recv(1)
sys.exit(code[0] if code else "the server of tests/warm.py has ended")
"""


@contextlib.contextmanager
def programs() -> Iterator[Path]:
    """A folder of the two programs, for the front of PATH while the context lasts. Signals do not reach what they run.

    They run what comes after `-m` as `python -m` does, with the caller's folder, environment and streams.
    """
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        address, client = Path(name) / "socket", Path(name) / "client.py"
        client.write_text(CLIENT, encoding="utf-8")
        for program, arguments in (("python", ""), ("dvc", "-m dvc ")):
            command = shlex.join([sys.executable, "-IS", str(client), str(address)])
            (Path(name) / program).write_text(f'#!/bin/sh\nexec {command} {arguments}"$@"\n', encoding="utf-8")
            (Path(name) / program).chmod(0o755)
        listener.bind(str(address))
        listener.listen()
        given = listener.fileno()
        command = [sys.executable, "-P", __file__, str(given)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[given])
        listener.close()  # so that who asks a server that has ended is told
        try:
            yield Path(name)
        finally:
            server.communicate()  # it ends with its input


def serve(listener: socket.socket) -> None:
    """Run each request in a fork of its own, until the standard input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return answer(connection)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Run one request in a fork, and send its exit code."""
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    arguments, folder, environment = json.loads(connection.makefile("rb").read())
    if runner := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
        connection.sendall(bytes([code % 256]))
        return
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    option, name, *rest = arguments
    assert option == "-m", arguments
    sys.argv[:] = [name, *rest]
    sys.path.insert(0, folder)
    code = 1
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:  # to take half a million objects apart would cost more than the rest
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
