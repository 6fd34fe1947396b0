"""A hub that does not answer is given up: the hub's own client would wait for ever."""

SECONDS = 30


def give_up_in_time() -> None:
    """Let every request to the hub that sets no time-out of its own end after SECONDS of silence."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def client() -> "httpx.Client":  # noqa: F821 - imported late
        made = default_client_factory()
        made.timeout = SECONDS
        return made

    set_client_factory(client)
