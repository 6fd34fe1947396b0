"""Rows of a Hugging Face Hub dataset at a pinned commit; no remote code is run."""

from collections.abc import Iterator
from pathlib import Path

from stages.data import data_errors
from stages.files import hub as client
from stages.files.records import Row
from stages.params.data_schema import HubDataset


def rows(hub: HubDataset) -> Iterator[Row]:
    """The rows of the split, in its order. HF_TOKEN is used where the environment has it.

    Raises UserError where the dataset cannot be loaded, where a folder here has its name (it would be read instead), or
    where what `datasets` found in its cache is of another commit (it may fall back to one without a word:
    https://github.com/huggingface/datasets/issues/7928).
    """
    from datasets import load_dataset

    client.set_timeouts(data_errors.HUB_DATASET.format(hub=hub))
    if Path(hub.path).exists():
        raise data_errors.HUB_FOLDER(hub=hub)
    options = {"name": hub.name, "split": hub.split}
    try:
        dataset = load_dataset(hub.path, revision=hub.revision, **options)
    except Exception as error:  # the library raises a dozen kinds, requests' and its own among them
        if (folder := client.local_snapshot(hub.path, hub.revision, "dataset")) is None:
            raise data_errors.HUB_FAILED(hub=hub, error=error) from None
        try:
            dataset = load_dataset(str(folder), **options)
        except Exception as damaged:
            raise data_errors.HUB_FAILED(hub=hub, error=damaged) from None
    sources = list(dataset.info.download_checksums or {})
    stale = [source for source in sources if "@" in source and hub.revision not in source]
    if stale:
        raise data_errors.HUB_STALE(hub=hub, found=stale[0])
    yield from dataset
