"""Rows of files inside an installed package, which is never imported: its dependencies may be missing."""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from stages.data import data_errors
from stages.data.sources import local_files
from stages.files.records import Row
from stages.params.data_schema import PackageFiles


def rows(package: PackageFiles, columns: list[str]) -> Iterator[Row]:
    """The rows of the files, one file after the other; `*` in a name stands for files in the order of their names.

    Raises UserError, at once, where the package or a file is missing, or the bytes of all files are others.
    """
    spec = find_spec(package.name)
    if spec is None or not spec.submodule_search_locations:
        raise data_errors.NO_PACKAGE(name=package.name)
    folder, paths = Path(spec.submodule_search_locations[0]), []
    for name in package.data_files:
        found = sorted(path for path in folder.glob(name) if path.is_file())
        if not found:
            raise data_errors.NO_PACKAGE_FILE(package=package.name, path=folder / name)
        paths += found
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    if digest.hexdigest() != package.sha256:
        raise data_errors.PACKAGE_DIFFERS(package=package, digest=digest.hexdigest())
    return local_files.read(paths, columns)
