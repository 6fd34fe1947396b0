"""Rows of a Hugging Face Hub dataset at a pinned commit, through `datasets`; never any remote code."""

from collections.abc import Iterator
from pathlib import Path

from stages.files import timeouts
from stages.files.errors import UserError, words
from stages.files.records import Row
from stages.params.data_schema import HubDataset


def rows(hub: HubDataset) -> Iterator[Row]:
    """The rows of the split, in its order. HF_TOKEN is used where the environment has it.

    Raises UserError where the dataset cannot be had, where a folder here has its name (it would be read instead), or
    where what `datasets` found in its cache is of another commit (it may fall back to one without a word:
    https://github.com/huggingface/datasets/issues/7928).
    """
    from datasets import load_dataset

    where = f"dataset {hub.path} ({hub.name}, {hub.split}) at {hub.revision[:12]}"
    timeouts.give_up_in_time(where)
    if Path(hub.path).exists():
        raise UserError(f"{where}: the folder {hub.path} here would be read in its place: rename the folder")
    try:
        dataset = load_dataset(hub.path, name=hub.name, split=hub.split, revision=hub.revision)
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        raise UserError(
            f"{where}: cannot be loaded: {words(error, 300)}: check the network, the names and HF_TOKEN"
        ) from None
    sources = list(dataset.info.download_checksums or {})
    stale = [source for source in sources if "@" in source and hub.revision not in source]
    if stale:
        raise UserError(f"{where}: the cache holds another commit ({stale[0]}): remove it with `hf cache rm`")
    yield from dataset
