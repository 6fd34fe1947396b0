"""Errors that a person can correct: shown as a text, never as a traceback."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # these only ever come from writing
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or raise the quota",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it readable and writable",
    errno.EPERM: "make it readable and writable",
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY), "move away what is in its place"),
    errno.ENOENT: "put it there",
    errno.EMFILE: "raise the limit (ulimit -n)",
}
NO_MEMORY = (
    "DefaultCPUAllocator", "CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
    "Cannot allocate memory", "failed to map segment",  # of weights, and of a library
)  # fmt: skip

RUST = ("SafetensorError", "Exception")  # of safetensors, of tokenizers
NO_SPACE = ("inline_container.cc", "iostream error")  # torch.save: there is no number of the operating system in it

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")


class UserError(Exception):
    """A mistake in params, data or the machine; its text says what, where, and what to do."""


class Text(str):
    """The text of an error with {fields}; called with their values it returns the error."""

    def __call__(self, **values: object) -> UserError:
        """The error; an exception among the values shows as one line."""
        lines = {name: one_line(value, 300) for name, value in values.items() if isinstance(value, BaseException)}
        return UserError(self.format(**values | lines))


def not_made(path: Path) -> UserError:
    """An output of an earlier stage is missing."""
    return UserError(f"{path}: not found: run `dvc repro`, which makes it")


def damaged(where: str, error: Exception | None = None) -> UserError:
    """An output of an earlier stage cannot be read; without an error, it holds something else than rows."""
    reason = "no object" if error is None else f"no JSON, {getattr(error, 'msg', error)}"
    if isinstance(error, UnicodeDecodeError):
        reason = "not UTF-8"
    return UserError(f"{where}: damaged ({reason}): run `dvc repro`, which makes it again")


def explained(error: Exception) -> str | None:
    """The text of a UserError, a line for an error of the machine; None for one of the code."""
    return str(error) if isinstance(error, UserError) else out_of_memory(error) or unusable_file(error)


def out_of_memory(error: Exception) -> str | None:
    """What to lower, where memory ran out, of the GPU or of the machine; else None."""
    # torch is not imported for it: on a GPU its error has a class of that name, on a CPU it is a plain RuntimeError.
    known = (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or "OutOfMemoryError" in (kind.__name__ for kind in type(error).__mro__)
        or (isinstance(error, RuntimeError | ImportError) and any(text in str(error) for text in NO_MEMORY))
    )
    if not known:
        return None
    return (
        f"out of memory ({one_line(error)}): lower training.per_device_train_batch_size or prompt.max_length where it "
        "trains, generation.batch_size or generation.max_new_tokens where it answers"
    )


@contextmanager
def path_in_errors(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Let an error of writing that names no file, or the temporary `partial`, name `path`."""
    try:
        yield
    except Exception as error:
        name = getattr(error, "filename", None)
        if (name is None and _number(error) in UNWRITABLE) or (partial and str(name).startswith(str(partial))):
            error.filename = str(path)
        raise


def unusable_file(error: Exception) -> str | None:
    """Which file cannot be read or written, why, and what to do; None for another error."""
    number = _number(error)
    if "No usable temporary directory" in str(error):
        return "no folder for temporary files can be written: free some space, or set TMPDIR to one, then `dvc repro`"
    # A rename names its target last, and that is the one that a person knows.
    path = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if path is None and not isinstance(error, OSError):
        path = "a safetensors file"
    if number is None or (path is None and number not in UNWRITABLE | {errno.EACCES}):
        return None
    name = "a file" if path is None else os.fsdecode(path) if isinstance(path, bytes) else path
    verb = "write" if number in UNWRITABLE else "read or write"
    remedy = REMEDIES.get(number, "mend that")
    return f"cannot {verb} {name}: {os.strerror(number)}: {remedy}, then `dvc repro` again"


def _number(error: Exception) -> int | None:
    """The operating system's number of an error; libraries in Rust have it in the text alone."""
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, RuntimeError) and any(text in str(error) for text in NO_SPACE):
        return errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ in RUST else None
    return int(found[1]) if found else None


def one_line(error: BaseException, most: int = 200) -> str:
    """The start of an error's text as one line, or its kind; without the environment's secrets."""
    text = str(error)
    for name in SECRETS:
        secret = os.environ.get(name, "").strip()
        if len(secret) < 8:  # no key is so short, and its letters are in every text
            continue
        # As it is, as clients send it, and as errors quote texts and bytes.
        for form in (secret, "".join(secret.split())):
            for shown in (form, repr(form)[1:-1], repr(form.encode("utf-8", "replace"))[2:-1]):
                text = text.replace(shown, f"[{name}]")
    return " ".join(text.split())[:most] or type(error).__name__
