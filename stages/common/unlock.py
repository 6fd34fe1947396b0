"""Mend what DVC itself cannot go on from: it writes two files in place, and a kill meanwhile leaves half of one.

usage: python -m stages.common.unlock          (make unlock; make repro does it by itself)

See https://github.com/treeverse/dvc/issues/7615. What can be read is left alone: somebody may be at work.
"""

import json
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from stages.common.resume import COPY, LOCK

RWLOCK = Path(".dvc/tmp/rwlock")
HALF = Path(".dvc/tmp/dvc.lock.half")


def main() -> int:
    """Mend both, and say so; returns the exit status."""
    if RWLOCK.exists() and not (readable(RWLOCK) or time.sleep(1) or readable(RWLOCK)):  # somebody may be writing it
        RWLOCK.unlink(missing_ok=True)
        print(f"removed {RWLOCK}, which a kill had left unreadable")
    if find_spec("dvc") is None or not LOCK.exists() or whole(LOCK):
        return 0
    shutil.copy(LOCK, HALF)
    if whole(COPY):
        shutil.copy2(COPY, LOCK)  # with its time, by which resume.py sees that DVC has recorded nothing since
        taken = "as it was when the last stage began"
    else:
        done = subprocess.run(["git", "checkout", "-q", str(LOCK)], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{LOCK}: damaged, and there is no other: {done.stderr.strip()}: remove it", file=sys.stderr)
            return 1
        taken = "of the last commit"
    print(f"took the {LOCK} {taken}: a kill had left half of one ({HALF})")
    return 0


def readable(path: Path) -> bool:
    """Whether a file is JSON, or is gone by now."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def whole(path: Path) -> bool:
    """Whether DVC can read a dvc.lock to its end; a merge that is not resolved is whole, and nothing to mend."""
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import load_yaml
    from voluptuous import Invalid

    if not path.exists():
        return False
    content = path.read_bytes()
    if b"\n<<<<<<< " in content:
        return True
    try:
        COMPILED_LOCKFILE_SCHEMA(load_yaml(path))
    except (DvcException, Invalid):
        return False
    return content.endswith(b"\n")


if __name__ == "__main__":
    sys.exit(main())
