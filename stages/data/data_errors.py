"""The wording of every error about rows and prompts: an edit here reruns no stage."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.files.errors import UserError, words
from stages.params.data_schema import HubDataset

SHOWN, CHARACTERS = 8, 40  # columns that a message names, and how much of each


def no_usable_row(name: str, seen: int, dropped: Mapping[str, int]) -> UserError:
    return UserError(f"{name}: no usable row among {seen} ({_counts(dropped) or 'it is empty'}): look at the source")


def too_many_dropped(name: str, seen: int, dropped: Mapping[str, int], max_dropped_share: float) -> UserError:
    return UserError(
        f"{name}: {sum(dropped.values())} of {seen} rows dropped ({_counts(dropped)}), more than "
        f"dataset.max_dropped_share {max_dropped_share}: correct the source, its columns in params.yaml, or raise the "
        "share"
    )


def no_held_out_row() -> UserError:
    return UserError("dataset: no held-out row: give it more rows, or change dataset.eval_share")


def no_train_row(count: int, leaked: int) -> UserError:
    return UserError(
        f"dataset: no train row is left of {count}: {leaked} overlap an evaluation row: give it more rows, or change "
        "dataset.eval_share"
    )


def _counts(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))


def unknown_scores(unknown: list[str], known: Iterable[str]) -> UserError:
    return UserError(f"dataset.builtin.scores: no score {', '.join(unknown)}: there are {', '.join(known)}")


def hub_where(hub: HubDataset) -> str:
    return f"dataset {hub.path} ({hub.name}, {hub.split}) at {hub.revision[:12]}"


def hub_folder(where: str, path: str) -> UserError:
    return UserError(f"{where}: the folder {path} here would be read instead: rename the folder")


def hub_failed(where: str, error: Exception) -> UserError:
    return UserError(f"{where}: cannot be loaded: {words(error, 300)}: check the network, the names and HF_TOKEN")


def hub_stale(where: str, found: str) -> UserError:
    return UserError(f"{where}: the cache holds another commit ({found}): remove it with `hf cache rm`")


def no_file(path: Path) -> UserError:
    return UserError(f"{path}: no such file: put it there, or change data_files in params.yaml")


def unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read: {_one_line(getattr(error, 'strerror', None) or error)}")


def link_out(path: Path, folder: Path, target: Path) -> UserError:
    return UserError(
        f"{path}: a link out of {folder} and of DVC's cache (`dvc cache dir`), to {target}: copy that file here"
    )


def folder_not_file(path: Path) -> UserError:
    return UserError(f"{path}: a folder: name the files in it, in data_files of params.yaml")


def no_regular_file(path: Path) -> UserError:
    return UserError(f"{path}: a pipe or a device, no file: write its rows into a file")


def no_object(path: Path, number: int, row: Any) -> UserError:
    return UserError(f"{path}, row {number}: {type(row).__name__}, not an object with named columns")


def no_list(path: Path, value: Any) -> UserError:
    return UserError(f"{path}: holds {type(value).__name__}, not a list of rows: one object a line is .jsonl")


def no_column(path: Path, columns: list[str], missing: set[str], names: Iterable[str]) -> UserError:
    wanted = ", ".join(column[:CHARACTERS] for column in columns if column in missing)
    known = sorted({one if one.isprintable() else repr(one) for one in names})
    there = ", ".join(one[:CHARACTERS] for one in known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
    return UserError(f"{path}: no column {wanted}: it has {there}: change columns in params.yaml, or the file")


def repeated_column(path: Path, column: str, count: int) -> UserError:
    return UserError(f"{path}: column {column} is there {count} times: rename all but one")


def not_utf8(path: Path, number: int) -> UserError:
    return UserError(f"{path}, line {number}: not UTF-8: convert the file (iconv -t UTF-8)")


def no_json(where: str, error: Exception) -> UserError:
    return UserError(f"{where}: no JSON ({_one_line(error)}): correct or remove it")


def repeated_key(key: str) -> ValueError:
    """For the JSON parser's hook, whose caller adds the file and the line."""
    return ValueError(f"the key {key[:CHARACTERS]!r} is given twice")


def too_many_cells(path: Path, number: int) -> UserError:
    return UserError(f"{path}, line {number}: more cells than columns: quote cells that hold a comma")


def no_csv(path: Path, number: int, error: Exception) -> UserError:
    return UserError(f"{path}, row from line {number}: not valid CSV: {error}: correct its quotes")


def no_parquet(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not valid Parquet: {_one_line(error)}: write it again")


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())[:300]


def no_row_fits(max_length: int) -> UserError:
    return UserError(f"prompt.max_length {max_length}: no training row fits: raise it")


def no_chat_template() -> UserError:
    return UserError("prompt.style: chat: this model's tokenizer has no chat template: choose plain")


def chat_template_failed(error: Exception) -> UserError:
    return UserError(f"prompt.style: chat: this model's chat template fails ({words(error)}): choose plain")


def question_count(count: int) -> UserError:
    return UserError(
        f"prompt.style: chat: this model's chat template prints the question {count} times, not once: choose plain"
    )
