"""The pages tell the truth: what they link to and name exists, and what they quote is what the committed files hold."""

import csv
import json
import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
PARAMS = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(text):
    """What stands in fences and backticks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(fenced + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@page
def test_every_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
                missing.append(link)
    assert not missing


@page
def test_every_path_that_is_named_exists(page):
    named = re.findall(r"(?<![\w/])(?:stages|tests|presets|docs)/[\w./-]*\w", code(page.read_text(encoding="utf-8")))
    examples = ("docs/benchmarks/CARD-DATE.json",)
    assert not [name for name in named if name not in examples and not (ROOT / name).exists()]


@page
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code(page.read_text(encoding="utf-8")))) <= targets


@page
def test_every_param_that_is_named_exists(page):
    text = re.sub(r"^```python\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    named = re.findall(rf"(?<![\w/])((?:{'|'.join(PARAMS)})(?:\.[a-z]\w*)+)", code(text))
    assert not [name for name in named if not has(PARAMS, name.split("."))]


def has(values, keys):
    """Whether nested values have a key below a key."""
    return not keys or (isinstance(values, dict) and keys[0] in values and has(values[keys[0]], keys[1:]))


def test_the_tree_is_the_one_that_stands():
    tree = README.partition("## The tree")[2].split("```")[1].strip().splitlines()
    top = [line.split()[0] for line in tree if not line.startswith(" ")]
    assert not [name for name in top if not (ROOT / name).exists()]
    inside = {line.split()[0].rstrip("/") for line in tree if line.startswith("  ")}
    there = {path.name for path in (ROOT / "stages").iterdir() if not path.name.startswith((".", "__"))}
    assert inside == there


def test_the_readme_is_short():
    assert len(README.split()) < 2_500


def test_the_picture_is_small():
    assert (ROOT / "docs/report.png").stat().st_size < 150_000


def test_the_question_of_the_first_screen_is_one_of_the_committed_run():
    question = re.search(r"^> (.+)$", README, re.MULTILINE)[1]
    answers = re.findall(r"^```text\n(.*?)\n```", README, re.MULTILINE | re.DOTALL)
    with (ROOT / "metrics/answers.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["question"] == question)
    assert answers == [row["before_text"].strip(), row["after_text"].strip()]
    assert (row["before_correct"], row["after_correct"]) == ("False", "True")


def test_the_verdict_of_the_readme_is_that_of_the_committed_test_questions():
    result = json.loads((ROOT / "metrics/verdict/compare.json").read_text(encoding="utf-8"))["heldout"]
    before, after, diff, low, high = (100 * result[key] for key in ("before", "after", "diff", "ci_low", "ci_high"))
    written = result["written"]
    assert f"| right, as asked | **{before:.1f} %** (" in README
    assert f"| **{after:.1f} %** (" in README
    assert f"| right, as written | {100 * written['before']:.1f} % | {100 * written['after']:.1f} % |" in README
    assert f"**Verdict: {result['verdict']}, {diff:+.1f} points, 95 % CI {low:+.1f} to {high:+.1f}**" in README


def test_the_studies_of_the_readme_are_the_committed_ones():
    studies = json.loads((ROOT / "metrics/studies.json").read_text(encoding="utf-8"))
    of = {name: study["sets"]["heldout"] for name, study in studies.items()}
    recipe = of["seeds"]["recipe"]
    assert f"**{100 * of['control']['diff']:+.1f} points**" in README
    assert f"**{', '.join(f'{100 * rate:.0f}' for rate in of['seeds']['after'])}** of " in README
    low, high = (100 * recipe[key] for key in ("ci_low", "ci_high"))
    assert f"{100 * recipe['diff']:+.1f} points, 95 % CI {low:+.1f} to {high:+.1f}" in README


def test_the_speeds_of_the_gpu_page_are_those_of_its_file():
    text = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
    (name,) = re.findall(r"\]\((benchmarks/[^)]+)\)", text)
    results = json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))
    speeds = [one["tokens_per_second"] for one in results.values() if "tokens_per_second" in one]
    assert speeds
    assert not [speed for speed in speeds if f"{speed:,.0f}" not in text]
