"""Every package that a run installs is pinned, with all that it brings."""

import re
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def lines(name):
    """The requirements in a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]


PINS = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines("constraints.txt"))}


def closure(requirements):
    """The names of the distributions that requirements bring on this machine, and which other one asks for each."""
    waiting, seen, found = [(Requirement(one), "requirements.txt") for one in requirements], set(), {}
    while waiting:
        requirement, by = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, by)
        for extra in {"", *requirement.extras} - {extra for one, extra in seen if one == name}:
            seen.add((name, extra))
            try:
                asked = distribution(name).requires or []
            except PackageNotFoundError:
                continue
            for one in map(Requirement, asked):
                if one.marker is None or one.marker.evaluate({"extra": extra}):
                    waiting.append((one, name))
    return found


def test_every_distribution_that_the_requirements_bring_is_pinned_and_installed_as_pinned():
    found = closure(lines("requirements.txt"))
    # torch pins what its CUDA build brings itself, to a version.
    own = re.compile(r"nvidia-.*|cuda-.*|triton")
    assert {name: by for name, by in found.items() if name not in PINS and not own.fullmatch(name)} == {}
    assert len(found) > 100
    for name in found.keys() & PINS.keys():
        assert distribution(name).version.split("+")[0] == PINS[name], name


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-model.txt", "requirements-gpu.txt", "constraints.txt"]
)
def test_every_line_pins_one_version(name):
    for line in lines(name):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_no_package_is_pinned_twice_and_both_files_agree():
    assert len(PINS) == len(lines("constraints.txt"))
    for line in lines("requirements.txt"):
        name, version = line.split("==")
        assert PINS[canonicalize_name(name)] == version
