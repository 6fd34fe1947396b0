"""Time-outs for requests to the hub, whose own client may wait for ever."""

SECONDS = 30


def set_timeouts(where: str) -> None:
    """Time out requests to the hub after SECONDS of silence; `where` names what is asked for."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils._http import default_client_factory

    logging.set_verbosity_error()  # not a line for each retry: the last one's failure is an error
    print(f"{where}: asking the hub (silent, it is given up within minutes)", flush=True)

    def limit(request: "httpx.Request") -> None:  # noqa: F821 - imported late
        """Limit a request's time-outs: the hub's have none, or a minute at each of six tries."""
        given = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            kind: min(given.get(kind) or SECONDS, SECONDS) for kind in ("connect", "read", "write", "pool")
        }

    def client() -> "httpx.Client":  # noqa: F821
        made = default_client_factory()
        made.event_hooks["request"].append(limit)
        return made

    set_client_factory(client)
