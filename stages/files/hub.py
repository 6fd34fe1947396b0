"""The Hugging Face Hub: time-outs, since its own client may wait for ever, and what its cache holds."""

import re
from collections import Counter
from pathlib import Path

SECONDS = 30
SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})(.*)")


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


def local_snapshot(path: str, revision: str, repo_type: str) -> Path | None:
    """The folder of a commit in the hub's cache, asked without a network; None where it is not or not whole.

    `snapshot_download` finds one that was copied there from another machine only when it is told not to look further
    (https://github.com/huggingface/huggingface_hub/issues/4487).
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(path, revision=revision, repo_type=repo_type, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    shards = Counter(match.groups() for file in found.rglob("*") if (match := SHARD.fullmatch(str(file))))
    if any(count != int(total) for (_, total, _), count in shards.items()):
        return None
    print(f"{path} at {revision:.12}: not from the hub, which cannot be asked: {found} is read", flush=True)
    return found
