"""Print the folder of the base model of params.yaml, fetched or made on the first call.

python -m stages.model where
"""

import argparse
import contextlib
import sys
from pathlib import Path

from stages import params
from stages.files.errors import explained
from stages.model import base_model
from stages.params.schema import Model


def where(model: Model) -> Path:
    """The folder of the base model, which the name in an adapter's config leads to from now on."""
    with contextlib.redirect_stdout(sys.stderr):  # what is printed on the way is no part of the answer
        folder = base_model.folder(model)
    if model.source != "hub":
        link = Path(base_model.BASE_LINK)
        link.parent.mkdir(exist_ok=True)
        partial = link.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.symlink_to(folder)
        partial.replace(link)
    return folder


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.model", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["where"])
    parser.parse_args()
    try:
        print(where(params.load().model))
    except Exception as error:
        if (line := explained(error)) is None:
            raise
        print(line, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
