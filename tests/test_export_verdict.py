"""What makes an export fail and what does not, what a killed verdict keeps, and what the report shows of it."""

import copy
import json
import re
from pathlib import Path

import pytest

from stages.evaluate import studies
from stages.export import EXPORT, __main__, reference, verdict
from stages.export.runtimes import in_llama_cpp
from stages.files import records
from stages.files.errors import UserError
from stages.report import page
from tests import test_report

LIKELY = [[[1, -0.1], [2, -3.0]], [[3, -0.2], [4, -2.0]]]
BASE = [[[9, -0.1], [1, -5.0]], [[8, -0.2], [3, -6.0]]]
ANSWER = "<think>\nx\n</think>\nAnswer: 7"


def pairs(count=100, **after):
    """Questions that the adapter answers right, each with what an artefact answered."""
    before = {"text": ANSWER, "finish_reason": "stop", "token_ids": [1, 3], "likely": LIKELY, "written": True}
    row = {"record": {}, "prompt_ids": [5, 6], "before": before | {"base": BASE}}
    return [row | {"after": copy.deepcopy(before | {"prompt_ids": [5, 6]} | after)} for _ in range(count)]


def compared(rows, tiny):
    """The comparison, with tokens spelled as their numbers."""
    return verdict.compared(rows, lambda ids: [chr(97 + one) for one in ids], tiny)


def change(rows, count, **after):
    """Let the first rows' artefact answer otherwise."""
    for row in rows[:count]:
        row["after"] |= after
    return rows


def test_the_same_answers_do_not_fail(tiny):
    found = compared(pairs(), tiny)
    assert found["failures"] == []
    assert found["identical"] == found["same_ids"] == found["same_prompt"] == 1
    assert (found["diff"], found["logprobs"]["largest"], found["n"]) == (0, 0, 100)


@pytest.mark.parametrize(("wrong", "fails"), [(5, False), (6, True)])
def test_as_much_as_the_margin_fewer_right_is_not_too_much(tiny, wrong, fails):
    found = compared(change(pairs(), wrong, written=False, text="Answer: 8"), tiny)
    said = [line for line in found["failures"] if "answers right" in line]
    assert len(said) == fails
    assert found["diff"] == -wrong / 100
    assert found["ci_low"] < found["diff"] < found["ci_high"]
    if fails:
        assert said == ["94.0 % of 100 answers right, of the adapter's 100.0 %: 6.0 points less, export.margin is 0.05"]


def test_answers_in_other_words_do_not_fail(tiny):
    found = compared(change(pairs(), 90, text=f"{ANSWER}."), tiny)
    assert (found["identical"], found["failures"]) == (0.1, [])


def test_answers_that_are_cut_off_fail(tiny):
    (line,) = compared(change(pairs(), 6, finish_reason="length"), tiny)["failures"]
    assert "94.0 % of 100 answers that stop" in line


@pytest.mark.parametrize("tag", ["<think>", "</think>"])
def test_lost_tags_fail(tiny, tag):
    (line,) = compared(change(pairs(), 6, text=ANSWER.replace(tag, "")), tiny)["failures"]
    assert f"answers with {tag}, of the adapter's 100.0 %" in line


def test_one_other_prompt_fails_and_other_cuts_of_the_same_text_do_not(tiny):
    (line,) = compared(change(pairs(), 1, prompt_ids=[5, 5, 6]), tiny)["failures"]
    assert line.startswith("1.0 % of its prompts are not the pipeline's")
    rows = change(pairs(), 100, prompt_ids=[7])
    found = verdict.compared(rows, lambda ids: ["ab"] if ids == [7] else ["a", "b"], tiny)
    assert (found["same_ids"], found["same_prompt"], found["failures"]) == (0, 1, [])


def test_the_base_models_logits_fail(tiny):
    found = compared(pairs(likely=BASE), tiny)
    (line,) = found["failures"]
    assert "its logits are the base model's (0.00 nats off" in line


def test_an_artefact_of_empty_answers_fails(tiny):
    found = compared(pairs(text="", token_ids=[], likely=[], written=False), tiny)
    assert found["failures"][0].startswith("0.0 % of 100 answers right")
    assert found["logprobs"]["compared"] == 0


def test_an_adapter_that_changes_nothing_does_not_fail(tiny):
    rows = pairs()
    for row in rows:
        row["before"]["base"] = LIKELY
    assert compared(rows, tiny)["failures"] == []


def test_logits_are_compared_up_to_the_first_other_token_and_no_further(tiny):
    far = [LIKELY[0], [[3, -9.0], [4, -9.0]]]
    assert compared(pairs(likely=far, token_ids=[2, 3]), tiny)["logprobs"] == {
        "compared": 200, "largest": 0, "mean": 0, "mean_from_base": pytest.approx(3.9)
    }  # fmt: skip
    assert compared(pairs(likely=far), tiny)["logprobs"]["largest"] == pytest.approx(8.8)


@pytest.fixture
def asked(tiny, tmp_path, monkeypatch):
    """A finished run of three questions, with a runtime that answers from a list; returns what it was asked."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": str(number), "set": "heldout", "kind": "number", "split": "validation"}
        | {"question": f"How much is {number}?", "answer": "7"}
        for number in range(3)
    ]
    answer = {"text": ANSWER, "finish_reason": "stop"}
    for name in ("raw", "prompts"):
        records.write(Path(f"data/{name}/heldout.jsonl"), [row | {"prompt_ids": [5, 6]} for row in rows])
        records.write(Path(f"data/{name}/evaluation.jsonl"), [])
    for arm in ("baseline", "post"):
        found = [{"id": row["id"], "set": "heldout", "sample": 0, "tokens": 9} | answer for row in rows]
        records.write(Path(f"data/answers/{arm}.jsonl"), found)
    records.write_json(verdict.SUMMARY, {"thinking_opened": False})
    wanted = answer | {"token_ids": [1, 3], "likely": LIKELY, "base": BASE}
    monkeypatch.setattr(reference, "of_adapter", lambda params, prompts, kept: [dict(wanted) for _ in prompts])
    Path("x.gguf").write_text("weights")
    Path("Modelfile").write_text('FROM ./x.gguf\nPARAMETER stop "<|im_end|>"\n')
    seen = []

    def answers(path, questions, params, room):
        for index, question in enumerate(questions):
            if len(seen) == 1:
                seen.append("killed")
                raise KeyboardInterrupt
            seen.append(question)
            yield index, answer | {"prompt_ids": [5, 6], "token_ids": [1, 3], "likely": LIKELY}

    monkeypatch.setattr(in_llama_cpp, "answers", answers)
    return seen


def test_a_killed_verdict_goes_on_and_writes_nothing_before_its_end(asked, tiny):
    records.write_json(studies.EXPORT, {})
    with pytest.raises(KeyboardInterrupt):
        verdict.judge(tiny, {"x": Path("x.gguf")})
    assert studies.load(studies.EXPORT) == {}
    assert verdict.judge(tiny, {"x": Path("x.gguf")}) == []
    assert [one[:14] for one in asked] == ["How much is 0?", "killed", "How much is 1?", "How much is 2?"]
    verdict.judge(tiny, {"x": Path("x.gguf")})
    assert len(asked) == 4
    Path("x.gguf").write_text("other weights")
    verdict.judge(tiny, {"x": Path("x.gguf")})
    assert len(asked) == 7


@pytest.fixture
def written(tmp_path, tiny, monkeypatch):
    """The command, with nothing behind it but what it puts where; DVC's calls are kept in the list returned."""
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(__main__.checks, "before", lambda params: None)
    monkeypatch.setattr(verdict, "questions", lambda params: [])

    def write(params, folder):
        calls.append("write")
        records.write_text(folder / "export.json", "new")

    monkeypatch.setattr(__main__, "write", write)
    monkeypatch.setattr(__main__.dvc, "run", lambda *arguments: calls.append(arguments))
    records.write_text(EXPORT / "export.json", "former")
    return calls


def test_an_export_that_fails_is_kept_in_failed_and_the_former_one_stays(written, tiny, monkeypatch):
    monkeypatch.setattr(verdict, "judge", lambda params, artefacts: ["merged: 90.0 % of 100 answers right"])
    with pytest.raises(UserError, match=r"(?s)models/export/failed.*\nmerged: 90\.0 % of 100"):
        __main__.export(tiny)
    assert (EXPORT / "export.json").read_text() == "former"
    assert (EXPORT / "failed/export.json").read_text() == "new"
    assert written == [("repro",), "write", ("repro",)]


def test_an_export_that_does_not_fail_takes_the_place_of_the_former_one(written, tiny, monkeypatch):
    records.write_text(EXPORT / "failed/export.json", "failed")
    monkeypatch.setattr(verdict, "judge", lambda params, artefacts: [])
    __main__.export(tiny)
    assert [path.name for path in EXPORT.iterdir()] == ["export.json"]
    assert (EXPORT / "export.json").read_text() == "new"
    assert written == [("repro",), "write", ("repro",)]


def test_an_export_before_any_run_is_one_line_before_anything_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(__main__.checks, "before", lambda params: None)
    monkeypatch.setattr(__main__.dvc, "run", lambda *arguments: None)
    with pytest.raises(UserError, match=r"data/prompts/summary\.json: not found: run `dvc repro`"):
        __main__.export(tiny)
    assert not __main__.PARTIAL.exists()


def exported(failures):
    """The table as the verdict writes it."""
    one = {
        "n": 100,
        "before": 0.67,
        "after": 0.66,
        "diff": -0.01,
        "ci_low": -0.05,
        "ci_high": 0.03,
        "identical": 0.8,
        "same_ids": 0.125,
    }
    one |= {"stopped": {"before": 1.0, "after": 0.97}, "logprobs": {"largest": 0.53, "mean": 0.004}}
    return {"margin": 0.05, "artefacts": {"a<b>.gguf": one | {"runtime": "xllamacpp 1", "failures": failures}}}


def test_the_report_shows_an_export_and_escapes_it():
    rows = [test_report.row("heldout", "Answer: 3", "Answer: 3")]
    html, markdown = (make(test_report.context(rows, export=exported([]))) for make in (page.html, page.markdown))
    assert "<h2>The exported model</h2>" in html
    assert "<h3><bdi>a&lt;b&gt;.gguf</bdi> <small>xllamacpp 1</small></h3>" in html
    assert "no worse than −5 points" in html
    wide = exported([])
    wide["artefacts"]["a<b>.gguf"]["ci_low"] = -0.081
    assert "passes; up to 8.1 points worse is not ruled out" in page.html(test_report.context(rows, export=wide))
    assert re.search(r"prompts of the same tokens</th><td>.*12\.5.%", html)
    assert "| a\\<b\\>.gguf | xllamacpp 1 | 66.0 % | −1.0 (−5.0 to +3.0) | 80.0 % | 97.0 % |" in markdown
    failed = page.html(test_report.context(rows, export=exported(["9 % fewer", "no <Modelfile>"])))
    assert "9 % fewer; no &lt;Modelfile&gt;" in failed


def test_the_report_without_an_export_says_nothing_of_one():
    whole = test_report.context([test_report.row("heldout", "Answer: 3", "Answer: 3")])
    assert "export" not in page.html(whole).casefold()
    assert "export" not in page.markdown(whole)


def test_an_export_of_another_run_is_not_shown(tmp_path, tiny):
    rows = [test_report.row("heldout", "Answer: 3", "Answer: 3")]
    path = tmp_path / "export.json"
    for key, shown in (("another", False), (studies.key(tiny, rows), True)):
        path.write_text(json.dumps({"export": {"key": key}}))
        assert bool(studies.read(path, tiny, rows, ["export"])["export"]) == shown
