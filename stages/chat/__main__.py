"""Serve the page of `make chat` until Ctrl-C.

usage: python -m stages.chat
"""

import os
import signal
import sys

from stages import params
from stages.files.errors import explained


def main() -> None:
    """Load both arms and serve the page; exits 1 with a line for each problem."""
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", GRADIO_ANALYTICS_ENABLED="False")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")  # Gradio looks for its own page as it starts
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [direct, "127.0.0.1"]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # nothing is half-written, and threads may be at work
    try:
        given = params.load()
        print("chat: loading the models", flush=True)
        from stages.chat import arms, page

        url = page.launch(page.build(given, arms.load(given)))
        print(f"chat: {url} (Ctrl-C ends it)", flush=True)
        signal.pause()
    except Exception as error:
        if (text := explained(error)) is None:  # a mistake of the code, which its traceback shows
            raise
        sys.exit("\n".join(f"chat: {line}" for line in text.splitlines()))


if __name__ == "__main__":
    main()
