"""dvc.yaml tells the truth about the code."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.params.schema import Params
from tests.conftest import ROOT
from tests.imports import TEMPLATES, sections, transitive

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
ORDER = ["fetch_dataset", "format_prompts", "baseline_infer", "finetune_lora", "post_infer", "compare"]


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)


def paths(entries):
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]


def test_the_six_stages_come_in_order():
    assert list(STAGES) == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_runs_its_own_module_and_nothing_else(name):
    assert STAGES[name]["cmd"] == f"python -m stages.{name}"


@pytest.mark.parametrize("name", ORDER)
def test_what_computes_is_a_dependency_and_what_can_change_no_byte_is_none(name):
    """A folder stands for all of its code; plots' templates lie in the report's folder, and are read by DVC."""
    named = [Path(dep) for dep in STAGES[name]["deps"] if dep.startswith("stages/")]
    files = {path for dep in named for path in ([dep] if dep.is_file() else dep.rglob("*")) if path.is_file()}
    listed = {path for path in files if path.suffix in (".py", *TEMPLATES)}
    assert listed == transitive(Path(f"stages/{name}.py"))


@pytest.mark.parametrize("name", ["format_prompts", "baseline_infer", "finetune_lora", "post_infer"])
def test_a_stage_that_takes_long_depends_on_no_wording(name):
    """The text of an error stands in a file that no such stage depends on."""
    for path in transitive(Path(f"stages/{name}.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("UserError", "print"):
                said = [one for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                assert not said, f"{path}:{node.lineno}"
            if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):  # a sentence, as of a summary
                said = [one.value for one in node.value.values if isinstance(one, ast.Constant)]
                assert not any(" " in text.strip() for text in said), f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", ORDER)
def test_params_are_the_sections_that_the_code_reads(name):
    """A section, or of `evaluation`, whose split is not all stages' concern, the keys."""
    named = {one.split(".")[0] for one in STAGES[name]["params"]}
    assert named == sections(Path(f"stages/{name}.py"), set(Params.model_fields))


@pytest.mark.parametrize("name", ORDER)
def test_every_project_file_that_the_script_names_is_declared(name):
    code = [path for path in transitive(Path(f"stages/{name}.py")) if path.suffix == ".py"]
    source = "".join(path.read_text(encoding="utf-8") for path in code)
    named = set(re.findall(r'Path\("((?:data|models|metrics)/[^"]+)"\)', source))
    stage = STAGES[name]
    declared = {path for key in ("deps", "outs", "metrics", "plots") for path in paths(stage.get(key))}
    inside = {path for path in named if any(path.startswith(f"{folder}/") for folder in declared)}
    assert named - inside | {str(Path(path).parent) for path in inside} == {
        path for path in declared if not path.startswith("stages/")
    }


def test_a_stage_reads_only_what_an_earlier_one_wrote():
    written = {"data/input", "metrics/export.json", "metrics/ledger.jsonl", "metrics/studies.json"}
    for name in ORDER:
        read = {dep for dep in STAGES[name]["deps"] if not dep.startswith("stages/")}
        assert read <= written, name
        written |= {path for key in ("outs", "metrics", "plots") for path in paths(STAGES[name].get(key))}


def test_what_git_keeps_is_not_cached_and_the_rest_is_ignored_by_git():
    ignored = (ROOT / "data/.gitignore").read_text().split() + (ROOT / "models/.gitignore").read_text().split()
    for stage in STAGES.values():
        for entry in [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]:
            if isinstance(entry, dict):
                ((path, options),) = entry.items()
                assert path.startswith("metrics/")
                assert options["cache"] is False
                assert "persist" not in options
            else:
                assert "/" + entry.split("/")[1] in ignored


def test_no_stage_script_edits_the_import_path_or_imports_another_stage():
    for name in ORDER:
        source = (ROOT / f"stages/{name}.py").read_text(encoding="utf-8")
        assert "sys.path" not in source
        assert not re.search(rf"stages\.({'|'.join(ORDER)})\b(?! *$)", source.split('"""', 2)[2])


def test_no_param_has_a_name_that_the_run_cache_drops():
    def keys(values):
        for key, value in values.items():
            yield key
            if isinstance(value, dict):
                yield from keys(value)

    assert not {"size", "nfiles"} & set(keys(YAML(typ="safe").load((ROOT / "params.yaml").read_text("utf-8"))))


def test_what_a_run_costs_is_in_no_lock():
    assert PIPELINE.keys() == {"stages", "plots"}
    assert not [path for stage in STAGES.values() for path in paths(stage.get("metrics")) if "costs" in path]


@pytest.mark.parametrize("path", sorted((ROOT / "stages").rglob("*.py")), ids=lambda path: path.name)
def test_files_stay_short(path):
    limit = 150 if path.parent.name == "stages" else 200
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit
