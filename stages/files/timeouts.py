"""A hub that does not answer is given up, and in one line: its own client would wait for ever, or tell of each try."""

SECONDS = 30


def set_timeouts(where: str) -> None:
    """Let every request to the hub end after SECONDS of silence; `where` says what is asked for.

    Tries that its client makes again by itself are not told one by one: the last one's failure is an error.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils._http import default_client_factory

    logging.set_verbosity_error()
    print(f"{where}: asking the hub (silent, it is given up within minutes)", flush=True)

    def client() -> "httpx.Client":  # noqa: F821 - imported late
        made = default_client_factory()
        made.event_hooks["request"].append(_end)
        return made

    set_client_factory(client)


def _end(request: "httpx.Request") -> None:  # noqa: F821
    """Give a request its time-outs: the hub's ask for none at all, or for a minute at each of six tries."""
    given = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        kind: min(given.get(kind) or SECONDS, SECONDS) for kind in ("connect", "read", "write", "pool")
    }
