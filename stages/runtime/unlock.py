"""Mend what DVC itself cannot go on from: it writes two files in place, and a kill meanwhile leaves half of one.

usage: python -m stages.runtime.unlock          (make unlock; make repro does it by itself)

What can be read is left alone, and what is being written: somebody may be at work. What the last stage kept goes, as
does that of the others when the next one begins (resume.py).
"""

import json
import sys
from pathlib import Path

from stages.runtime import lockfile, resume

RWLOCK = Path(".dvc/tmp/rwlock")


def main() -> int:
    """Mend both, and say so; returns the exit status."""
    try:
        if lockfile.halved(RWLOCK, unreadable):
            RWLOCK.unlink(missing_ok=True)
            print(f"removed {RWLOCK}, which a kill had left unreadable")
        if lockfile.halved(lockfile.LOCK, refused):
            print(lockfile.take())
        resume.tidy()
    except (OSError, ImportError) as error:
        print(f"unlock: {error}{': make install' * isinstance(error, ImportError)}", file=sys.stderr)
        return 1
    return 0


def unreadable(content: bytes) -> bool:
    """Whether this is no JSON."""
    try:
        json.loads(content)
    except ValueError:
        return True
    return False


def refused(content: bytes) -> bool:
    """Whether a lock is cut off, or one that DVC does not take; a merge is for people to resolve."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from voluptuous import Invalid

    if lockfile.merging(content):
        return False
    if lockfile.cut(content):
        return True
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(content))
    except Invalid:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
