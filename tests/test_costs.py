"""A stage's cost is beside its outputs: seconds, peak memory, and tokens a second where it has such work."""

import json
import time

from stages.runtime import costs


def test_seconds_memory_and_the_speed_of_the_work_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    costs.work(500, 2.0)
    text = costs.write("some_stage", time.perf_counter() - 3)
    kept = json.loads((costs.COSTS / "some_stage.json").read_text())
    assert kept["tokens_per_second"] == 250.0
    assert 3 <= kept["seconds"] < 5
    assert kept["memory_gb"] > 0.01
    assert text.startswith("3 s, ")


def test_the_next_stage_does_not_inherit_a_speed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    costs.work(500, 2.0)
    costs.write("one", time.perf_counter())
    costs.write("two", time.perf_counter())
    assert "tokens_per_second" not in json.loads((costs.COSTS / "two.json").read_text())
