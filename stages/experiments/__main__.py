"""Run what one run cannot show: other training seeds, the control, the verdict on the test questions.

python -m stages.experiments seeds --n 5
python -m stages.experiments control
python -m stages.experiments verdict
"""

import argparse
import sys

from stages import params
from stages.experiments import study
from stages.files.errors import explained
from stages.runtime import dvc


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stages.experiments", description=__doc__.splitlines()[0])
    add = parser.add_subparsers(dest="command", required=True).add_parser
    add("seeds", help="train with other seeds as well, for a verdict on the recipe").add_argument("--n", default="5")
    add("control", help="train once on completions swapped between questions: what form alone gains")
    add("verdict", help="ask the test questions, and count it in the ledger")
    given = parser.parse_args(arguments)
    try:
        checked = params.load()
        with dvc.signals_to_child():
            match given.command:
                case "seeds":
                    said = study.seeds(checked, given.n)
                case "control":
                    said = study.control(checked)
                case "verdict":
                    said = study.verdict(checked)
        print(f"{given.command}: {said}")
    except Exception as error:
        text = explained(error)
        if text is None:  # a mistake of the code, which its traceback shows
            raise
        print("\n".join(f"{given.command}: {line}" for line in text.splitlines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
