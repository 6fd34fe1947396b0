"""Write the fine-tuned model in the formats of params.yaml to models/export.

python -m stages.export

Each is held against the adapter first (stages/export/verdict.py); an export that fails replaces no former one.
"""

import shutil
import sys
import time
from pathlib import Path

from stages import params
from stages.export import EXPORT, GGUF, KEY, MERGED, NAME, README, checks, export_errors, record
from stages.files import records
from stages.files.errors import explained, path_in_errors
from stages.params.schema import Params
from stages.runtime import dvc, identity

PARTIAL = EXPORT.with_name("export.partial")
FORMER = EXPORT.with_name("export.former.partial")
FAILED = EXPORT / "failed"


def export(params: Params) -> str:
    """Write all formats, judge them and put them in place together; returns what was made.

    Raises UserError where one does not answer as the adapter: then all are in FAILED, and the former export stays.
    """
    from stages.export import verdict

    with identity.one_at_a_time("export", identity.CACHE):
        _tidy()
        checks.before(params)
        with dvc.signals_to_child():
            dvc.run("repro")  # what is exported, and what it is held against, are of these params
        verdict.questions(params)  # now, not once all is written
        try:
            with path_in_errors(EXPORT, PARTIAL):
                write(params, PARTIAL)
                if failures := verdict.judge(params, verdict.artefacts(PARTIAL)):
                    shutil.rmtree(FAILED, ignore_errors=True)
                    EXPORT.mkdir(exist_ok=True)
                    PARTIAL.rename(FAILED)
                else:
                    publish(PARTIAL)
        finally:
            shutil.rmtree(PARTIAL, ignore_errors=True)  # a disk that is full would stay full
        with dvc.signals_to_child():
            dvc.run("repro")  # the report has a section about it
    if failures:
        raise export_errors.FAILED(folder=FAILED, failures="\n".join(failures))
    return f"{EXPORT}: {', '.join(params.export.formats)}: see {EXPORT / README}"


def write(params: Params, folder: Path) -> None:
    """Write every format, the README and the record to a folder."""
    from stages.export import gguf_file, merged, modelfile, readme

    start = time.perf_counter()
    done = merged.write(params, folder / MERGED)
    _tell(folder / MERGED, start)
    for quantization in params.export.quantizations if "gguf" in params.export.formats else ():
        start, path = time.perf_counter(), folder / GGUF / f"{NAME}-{quantization}.gguf"
        gguf_file.write(folder / MERGED, path, quantization)
        records.write_text(
            path.with_name(f"Modelfile-{quantization}"), modelfile.text(params, folder / MERGED, path.name)
        )
        _tell(path, start)
    records.write_text(folder / README, readme.text(params, folder, done))
    if "merged" not in params.export.formats:
        shutil.rmtree(folder / MERGED)
    records.write_json(folder / KEY, record.of(params))


def publish(folder: Path) -> None:
    """Let a whole export take the place of the former one."""
    for path in folder.rglob("*"):
        records.sync(path)
    if EXPORT.exists():
        EXPORT.rename(FORMER)
    folder.rename(EXPORT)
    shutil.rmtree(FORMER, ignore_errors=True)


def _tidy() -> None:
    """Remove what a killed export left; one killed between its two renames leaves the former export."""
    if FORMER.exists() and not EXPORT.exists():
        FORMER.rename(EXPORT)
    for left in (PARTIAL, FORMER):
        shutil.rmtree(left, ignore_errors=True)


def _tell(path: Path, start: float) -> None:
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    print(f"export: {path.name}: {size / 1e9:.2f} GB in {time.perf_counter() - start:.0f} s", flush=True)


def main() -> int:
    """Run the command; returns the exit status."""
    try:
        print(f"export: {export(params.load())}")
    except KeyboardInterrupt:
        print(f"export: interrupted: {EXPORT} is as it was", file=sys.stderr)
        return 130
    except Exception as error:
        if (text := explained(error)) is None:  # a mistake of the code, which its traceback shows
            raise
        text = text.replace("`dvc repro` again", "`make export` again")
        print("\n".join(f"export: {line.removeprefix('export: ')}" for line in text.splitlines()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
