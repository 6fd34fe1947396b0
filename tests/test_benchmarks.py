"""The benchmarks: their parts exist, take what they are given, and make a table and JSON. No speed is tested."""

import inspect
import json

import pytest

from tests.benchmarks import cpu, gpu, rows, table
from tests.conftest import ROOT

CANNED = {
    "weights": {"folder": "there"},
    "card": {"flops": 8e14, "bytes_per_second": 3e12},
    "train": {"tokens_per_second": 8000.0, "reserved_gb": 7.0, "losses": [12.0, 11.5], "adapter": "a"},
    "train_notebook": {"tokens_per_second": 2000.0, "reserved_gb": 7.1, "losses": [12.0, 11.6]},
    "generate": {"tokens_per_second": 9000.0, "batch_size": 256, "reserved_gb": 43.0},
    "generate_notebook": {"tokens_per_second": 30.0, "batch_size": 1, "reserved_gb": 5.7},
    "agreement": {"questions": 16, "identical": 8},
}


def test_the_gpu_tables_hold_ratios_and_shares_of_the_bounds(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu.table, "part", lambda _module, _tokenizer, name, *_: CANNED[name])
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(table, "machine_of", lambda: {"machine": "NVIDIA H100 80GB HBM3"})
    gpu.main("tokenizer")
    printed = capsys.readouterr().out
    assert "| h100-8b | 8,000.00 | 4.00 | 0.32 | 7.00 | 11.50 |" in printed
    assert "| h100-8b | 256 | 9,000.00 | 300.00 | 0.30 | 43.00 |" in printed
    assert "| gpu-8b | True | True | 8,000.00 | 8,000.00 |" in printed
    (file,) = tmp_path.iterdir()
    kept = json.loads(file.read_text())
    assert file.name == f"h100-{kept['date']}.json"
    assert kept["gpu-8b answers"] == CANNED["generate"]
    assert kept["versions"].keys() == {"torch", "transformers", "trl", "peft"}
    assert all(callable(getattr(gpu, name)) for name in CANNED)
    assert inspect.signature(gpu.train).bind("folder", "h100-8b", full_determinism=False)
    assert inspect.signature(gpu.generate).bind("folder", "h100-8b", count=128)


def test_the_cpu_table_extrapolates_to_the_whole_job(monkeypatch, tmp_path, capsys, committed):
    from stages import params

    monkeypatch.setattr(cpu.params, "load", lambda: params.check(committed))
    monkeypatch.setattr(cpu, "prompts", lambda: [{}] * 102)
    monkeypatch.setattr(cpu.records, "read", lambda _: iter([{}] * 600))
    seconds = {"notebook_answers": 20.0, "our_answers": 0.5, "notebook_training": 3.0, "our_training": 0.5}
    monkeypatch.setattr(cpu.table, "part", lambda _module, name: {"seconds": seconds[name]})
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    cpu.main()
    printed = capsys.readouterr().out
    assert "| 204 answers, both arms | 4,080.00 | 102.00 | 40.00 |" in printed
    assert "| 600 training rows | 1,800.00 | 300.00 | 6.00 |" in printed
    assert "| both | 5,880.00 | 402.00 | 14.63 |" in printed
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["lines"][-1]["work"] == "both"


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("Tesla T4", "t4"),
        ("AMD EPYC", "epyc"),
        ("Intel Xeon", "xeon"),
    ],
)
def test_a_file_of_figures_is_named_for_its_card(machine, name):
    assert table.card(machine) == name


def test_this_machine_has_a_name():
    assert table.card(table.machine_of()["machine"])


@pytest.mark.parametrize("file", sorted((ROOT / table.RESULTS).iterdir()), ids=lambda file: file.name)
def test_committed_figures_stand_in_a_file_a_card_and_date(file):
    kept = json.loads(file.read_text())
    assert file.name == f"{table.card(kept['machine'])}-{kept['date']}.json"


def test_the_rows_are_the_same_for_the_same_count():
    assert rows.texts(5) == rows.texts(5)
    asked, limits = rows.questions(20, 100)
    assert len(asked) == 20
    assert all(10 <= limit <= 100 for limit in limits)


def test_a_part_that_fails_says_so(monkeypatch):
    with pytest.raises(SystemExit, match="failed"):
        table.part("tests.benchmarks.nosuch")
