"""Both arms are graded on the same questions and samples: what they know, what they write, and what is form."""

import pytest

from stages.evaluate import comparison, statistics, summary
from stages.files import records
from stages.files.errors import UserError
from stages.params.schema import Grading

GRADING = Grading(relative_tolerance=0.01, overlap_threshold=0.4, seed=1)


def answers(path, texts, name="heldout"):
    """A row a sample: each text is one answer, or a list of samples; (text, asked) where it was asked once more."""
    rows = []
    for i, written in enumerate(texts):
        for number, one in enumerate(written if isinstance(written, list) else [written]):
            text, *asked = one if isinstance(one, tuple) else (one,)
            row = {"id": str(i), "set": name, "sample": number, "text": text, "tokens": 5, "finish_reason": "stop"}
            rows.append(
                row | ({} if number else {"reference_loss": 2.0 - i / 99}) | ({"asked": asked[0]} if asked else {})
            )
    records.write(path, rows)
    return path


@pytest.fixture
def both(tmp_path):
    def make(before, after, kind="number", count=1, **more):
        rows = [
            {"id": str(i), "set": "heldout", "kind": kind, "question": f"Score {i}?", "answer": str(i), "response": "x"}
            | more
            for i in range(len(before))
        ]
        records.write(tmp_path / "raw.jsonl", rows)
        arms = {
            "before": answers(tmp_path / "before.jsonl", before),
            "after": answers(tmp_path / "after.jsonl", after),
        }
        return comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING, count=count)

    return make


def right(i):
    return f"The score is {i}."


def wrong(i):
    return f"The score is {i + 1}."


def silent(i):
    return "Who knows?"


def test_a_gain_counts_as_better_and_its_mirror_as_worse(both):
    n = range(30)
    better = comparison.summarise(both([wrong(i) for i in n], [right(i) for i in n]), GRADING)["heldout"]
    worse = comparison.summarise(both([right(i) for i in n], [wrong(i) for i in n]), GRADING)["heldout"]
    same = comparison.summarise(both([right(i) for i in n], [right(i) for i in n]), GRADING)["heldout"]
    assert [one["verdict"] for one in (better, worse, same)] == ["better", "worse", "no difference shown"]
    assert (better["fixed"], better["broken"], worse["fixed"], worse["broken"]) == (30, 0, 0, 30)


def known(i):
    """It knows the answer, and does not write it."""
    return (silent(i), str(i))


def unknown(i):
    return (silent(i), str(i + 1))


@pytest.mark.parametrize(
    ("before", "after", "verdicts", "form", "asked"),
    [
        ([known] * 40, [right] * 40, ("no difference shown", "better"), 1, (1, 0)),  # it only learned to write it
        ([wrong] * 40, [right] * 40, ("better", "better"), 0, (0, 0)),
        ([right] * 40, [known] * 40, ("no difference shown", "worse"), -1, (0, 1)),
        ([unknown] * 40, [known] * 40, ("better", "no difference shown"), -1, (1, 1)),
        ([right] * 40, [unknown] * 20 + [right] * 20, ("worse", "worse"), 0, (0, 0.5)),
    ],
)
def test_what_is_known_and_what_is_written_have_a_verdict_each_and_form_is_the_rest(
    both, before, after, verdicts, form, asked
):
    rows = both([f(i) for i, f in enumerate(before)], [f(i) for i, f in enumerate(after)])
    result = comparison.summarise(rows, GRADING)["heldout"]
    assert (result["verdict"], result["written"]["verdict"]) == verdicts
    assert result["form"]["diff"] == result["written"]["diff"] - result["diff"] == form
    assert tuple(result["asked_share"].values()) == asked
    assert (result["about"], result["samples"], result["pass_at_k"], result["majority"]) == ("asked", 1, None, None)


def test_an_answer_that_is_read_is_not_replaced_by_the_asked_one(both):
    (row,) = both([(wrong(0), "0")], [(right(0), "7")])
    assert [(row[arm]["stated"], row[arm]["was_asked"], row[arm]["correct"]) for arm in comparison.ARMS] == [
        ("1", False, False),
        ("0", False, True),
    ]


def test_of_open_questions_what_is_written_counts(both):
    rows = both([[("Who knows?", "0")] * 2], [[right(0), "Who knows?"]], kind="open", count=2)
    assert [rows[0][arm]["was_asked"] for arm in comparison.ARMS] == [False, False]
    result = comparison.summarise(rows, GRADING)["heldout"]
    assert (result["about"], result["weak"], result["written"], result["baselines"]) == ("written", True, None, None)
    assert (result["form"], result["majority"], result["pass_at_k"]["after"]) == (None, None, 1)


def test_the_question_is_the_unit_of_several_samples(both):
    mixed = [[right(i), right(i), wrong(i), known(i)] for i in range(30)]
    rows = both([[wrong(i)] * 4 for i in range(30)], mixed, count=4)
    assert [(row["after"]["correct"], row["after"]["written"]) for row in rows] == [(0.75, 0.5)] * 30
    assert rows[0]["after"]["text"] == right(0)
    result = comparison.summarise(rows, GRADING)["heldout"]
    assert (result["n"], result["samples"], result["after"], result["written"]["after"]) == (30, 4, 0.75, 0.5)
    assert (result["fixed"], result["broken"], result["verdict"]) == (30, 0, "better")
    assert result["asked_share"] == {"before": 0, "after": 0.25}
    assert result["after_form"]["reasons"] == {"no answer stated": 30, "wrong": 30}
    assert (result["pass_at_k"]["after"], result["majority"]["after"]) == (1, 1)


def test_an_interval_of_shares_ends_at_one_hundred_points():
    before, after = [0.0, 1.0, 1.0, 0.0, 1 / 3, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert statistics.paired(before, after, seed=42).ci_low < -2
    found = summary._compared(before, after, 42, None)
    assert (found["ci_low"], found["ci_high"]) == (-1, 1)


def test_one_sample_has_exact_tests_and_several_have_means(both):
    (one,), (two,) = both([right(0)], [right(0)]), both([[right(0)] * 2], [[right(0)] * 2], count=2)
    assert (type(one["after"]["correct"]), type(two["after"]["correct"])) == (bool, float)


@pytest.mark.parametrize("groups", [None, "g"])
def test_several_samples_that_change_nothing_have_the_interval_of_one_that_does_not(both, groups):
    texts, results = [right(i) if i % 2 else wrong(i) for i in range(40)], []
    for count in (1, 4):
        found = [[one] * count for one in texts]
        rows = both(found, found, count=count)
        for i, row in enumerate(rows):
            row["record"] |= {"group": f"g{i // 2}"} if groups else {}
        results.append(comparison.summarise(rows, GRADING)["heldout"])
    intervals = [(one["ci_low"], one["ci_high"], one["p_value"]) for one in results]
    assert intervals[0] == intervals[1]
    assert intervals[0][0] < -0.05 < 0.05 < intervals[0][1]


@pytest.mark.parametrize(
    ("written", "correct", "passed"),
    [
        ("rrw", True, True),
        ("rww", False, True),
        ("rw", True, True),  # of a tie the first stated
        ("wr", False, True),
        ("srw", True, True),  # silence has no vote
        ("sswrr", True, True),
        ("ss", False, False),
        ("kkw", True, True),  # asked answers have one
        ("wvkr", True, True),
    ],
)
def test_the_majority_is_of_what_is_stated_and_the_first_wins_a_tie(both, written, correct, passed):
    texts = {"r": right(0), "w": wrong(0), "v": wrong(1), "s": silent(0), "k": known(0)}
    found = [texts[one] for one in written]
    result = comparison.summarise(both([found], [found], count=len(found)), GRADING)["heldout"]
    assert (bool(result["majority"]["after"]), bool(result["pass_at_k"]["after"])) == (correct, passed)


def test_every_view_is_corrected_for_the_sets_and_for_the_looks(both):
    rows = both([[right, wrong][i < 6](i) for i in range(30)], [right(i) for i in range(30)])
    alone = comparison.summarise(rows, GRADING)["heldout"]
    two = comparison.summarise([*rows, *({**row, "set": "other"} for row in rows)], GRADING)["heldout"]
    looked = comparison.summarise(rows, GRADING, split="test", looks={"heldout": 3})["heldout"]
    for found, factor, verdict in (
        (alone, 1, "better"), (two, 2, "no difference shown"), (looked, 3, "no difference shown"),
    ):  # fmt: skip
        for view in (found, found["written"]):
            assert view["verdict"] == verdict
            assert view["p_corrected"] == pytest.approx(factor * view["p_value"])
        against = found["baselines"]["against"]
        assert against["p_corrected"] == pytest.approx(factor * against["p_value"])
    assert (alone["split"], alone["looks"], looked["split"], looked["looks"]) == ("validation", 1, "test", 3)
    assert looked["smallest_difference"] > alone["smallest_difference"]


def test_what_makes_a_comparison_unfair_is_a_code_with_its_numbers(both):
    rows = both([right(i) for i in range(40)], [right(i) for i in range(26)] + [known(i) for i in range(26, 40)])
    for row in rows[:5]:
        row["after"]["samples"][0]["finish_reason"] = "length"
    found = {one["code"]: one for one in comparison.summarise(rows, GRADING)["heldout"]["warnings"]}
    assert found == {
        "cut_off": {"code": "cut_off", "before": 0, "after": 0.125},
        "stated": {"code": "stated", "before": 1, "after": 0.65},
    }
    options = {"A": "yes", "B": "no"}
    rows = both(["A", "B", silent(2)], ["A", "B", "A"], "choice", options=options, answer="A")
    assert comparison.summarise(rows, GRADING)["heldout"]["warnings"] == [
        {"code": "stated", "before": 2 / 3, "after": 1},
        {"code": "unread", "before": 1, "after": 0},  # not asked, though nothing is read
        {"code": "few", "n": 3},
        {"code": "one_letter", "letter": "A", "share": 1},
    ]


def test_a_set_of_few_questions_or_groups_is_called_few(both):
    def few(rows):
        (result,) = comparison.summarise(rows, GRADING).values()
        return result["few"], comparison.scores({"heldout": result})["few"]

    rows = both([wrong(i) for i in range(30)], [right(i) for i in range(30)])
    assert few(rows) == (False, False)
    assert few(rows[:6]) == (True, True)
    for i, row in enumerate(rows):
        row["record"]["group"] = str(i // 2)
    assert few(rows) == (True, True)


def test_groups_widen_every_interval_and_are_counted(both):
    rows = both([[wrong, right][i % 8 < 4](i) for i in range(160)], [[right, wrong][i % 16 < 4](i) for i in range(160)])
    alone = comparison.summarise(rows, GRADING)["heldout"]
    for i, row in enumerate(rows):
        row["record"]["group"] = str(i // 4)
    grouped = comparison.summarise(rows, GRADING)["heldout"]
    assert (alone["groups"], grouped["groups"]) == (None, 40)
    for low, high in (("ci_low", "ci_high"), ("before_low", "before_high"), ("after_low", "after_high")):
        assert grouped[high] - grouped[low] > 1.8 * (alone[high] - alone[low])
    assert grouped["smallest_difference"] > 1.5 * alone["smallest_difference"]
    assert {key: grouped[key] for key in ("before", "after", "diff", "fixed")} == {
        key: alone[key] for key in ("before", "after", "diff", "fixed")
    }


def test_a_lower_reference_loss_is_better(both):
    rows = both([right(i) for i in range(20)], [right(i) for i in range(20)])
    for index, row in enumerate(rows):
        row["after"]["reference_loss"] -= 0.5 + index / 100
    assert comparison.reference_loss(rows, 1)["verdict"] == "better"
    for row in rows:
        row["before"], row["after"] = row["after"], row["before"]
    assert comparison.reference_loss(rows, 1)["verdict"] == "worse"
    del rows[0]["after"]["reference_loss"]
    rows[1]["before"]["reference_loss"] = None
    assert comparison.reference_loss(rows, 1) == comparison.reference_loss(rows[2:], 1)
    assert comparison.reference_loss(rows[2:], 1)["n"] == 18
    assert comparison.reference_loss(rows[:2], 1) is None


def test_scores_name_the_held_out_questions_bare_and_other_sets_by_their_name(both):
    rows = both([wrong(i) for i in range(30)], [right(i) for i in range(30)])
    results = comparison.summarise(rows + [{**row, "set": "after"} for row in rows], GRADING)
    scores = comparison.scores(results)
    assert {key: scores[key] for key in ("before", "after", "diff", "verdict")} == {
        "before": 0.0,
        "after": 1.0,
        "diff": 1.0,
        "verdict": "better",
    }
    bare = {"before", "after", "diff", "ci_low", "ci_high", "verdict", "n", "few", "samples", "best_baseline"}
    bare |= {f"{what}_{arm}" for what in ("written", "asked") for arm in comparison.ARMS}
    assert set(scores) == bare | {f"after.{key}" for key in comparison.BESIDE}


def test_a_cut_off_answer_is_what_the_engine_says(both):
    rows = both([right(0), right(1)], [right(0), right(1)])
    rows[0]["after"]["samples"][0]["finish_reason"] = "length"
    result = comparison.summarise(rows, GRADING)["heldout"]
    assert (result["before_form"]["finish_reason_length"], result["after_form"]["finish_reason_length"]) == (0, 0.5)


def test_arms_that_answer_different_questions_are_refused(tmp_path, both):
    both([right(0)], [right(0)])
    arms = {"before": tmp_path / "before.jsonl", "after": answers(tmp_path / "other.jsonl", [right(0), right(1)])}
    with pytest.raises(UserError, match=r"other\.jsonl: answers different questions"):
        comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)


def test_the_questions_of_the_split_must_all_be_answered_and_no_other(tmp_path):
    raw = [
        {"id": str(i), "set": "heldout", "kind": "number", "question": "?", "answer": str(i), "split": split}
        for i, split in enumerate(("validation", "test"))
    ]
    records.write(tmp_path / "raw.jsonl", raw)
    arms = dict.fromkeys(comparison.ARMS, answers(tmp_path / "a.jsonl", [right(0)]))
    assert len(comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING, split="validation")) == 1
    with pytest.raises(UserError, match=r"evaluation\.split: test"):
        comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING, split="test")


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ([["a", "b"], ["a"]], "question 1 of heldout: has the samples 0, but 0 to 1 are needed"),
        ([["a", "b"], ["a", "b", "c"]], "has the samples 0, 1, 2, but"),
        ([["a"], ["a"]], "question 0 of heldout"),
    ],
)
def test_a_question_that_lacks_a_sample_is_one_clear_line(both, written, given):
    with pytest.raises(UserError, match=given):
        both([["a", "b"], ["a", "b"]], written, count=2)


def test_samples_out_of_order_or_of_older_code_are_refused(tmp_path, both):
    both([right(0)], [right(0)])
    (row,) = records.read(tmp_path / "after.jsonl")
    arms = {arm: tmp_path / f"{arm}.jsonl" for arm in comparison.ARMS}
    for rows in ([row | {"sample": 1}, row], [{key: row[key] for key in row if key != "sample"}]):
        for path in arms.values():
            records.write(path, rows)
        with pytest.raises(UserError, match=r"before\.jsonl: question 0 of heldout: has the samples (1, 0|None)"):
            comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING, count=len(rows))


def test_one_question_in_two_sets_is_graded_by_each_set_s_own_rule(tmp_path):
    raw = [
        {"id": "0", "set": name, "kind": kind, "question": "How many?", "answer": "3", "response": "3"}
        for name, kind in (("one", "number"), ("two", "open"))
    ]
    records.write(tmp_path / "raw.jsonl", raw)
    rows = [
        {"id": "0", "set": name, "sample": 0, "text": "It is 3.", "tokens": 3, "finish_reason": "stop"}
        for name in ("one", "two")
    ]
    records.write(tmp_path / "a.jsonl", rows)
    arms = {"before": tmp_path / "a.jsonl", "after": tmp_path / "a.jsonl"}
    graded = comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)
    assert [row["before"]["rule"] for row in graded] == ["number", "match"]


def test_free_questions_are_shown_and_never_graded(tmp_path, both):
    path = answers(tmp_path / "free.jsonl", ["one", "two"], "free")
    arms = {"before": path, "after": path}
    assert comparison.graded([path], arms, GRADING) == []
    records.write(path, [{**row, "id": records.fingerprint(f"{'ab'[int(row['id'])]}?")} for row in records.read(path)])
    assert [row["before"]["text"] for row in comparison.free(arms, ["a?", "b?"])] == ["one", "two"]
    for others in (["b?", "a?"], ["a?"], ["a?", "b?", "c?"]):
        with pytest.raises(UserError, match=r"free\.jsonl answer other free questions: run `dvc repro`$"):
            comparison.free(arms, others)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("arm", "remedy"), [("before", "set model.dtype"), ("after", r"lower training\.learning_rate")]
)
def test_a_reference_loss_that_is_not_finite_is_one_clear_line(tmp_path, both, arm, remedy, loss):
    both([right(0), right(1)], [right(0), right(1)])
    arms = {name: tmp_path / f"{name}.jsonl" for name in ("before", "after")}
    rows = list(records.read(arms[arm]))
    rows[1]["reference_loss"] = loss
    records.write(arms[arm], rows)
    with pytest.raises(UserError, match=f"{arm}.jsonl: question 1: reference_loss is {loss}: .*{remedy}"):
        comparison.graded([tmp_path / "raw.jsonl"], arms, GRADING)
