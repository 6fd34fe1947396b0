"""The report says what was found, in plain sentences, and shows whatever a model wrote as text and nothing else."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.evaluate import comparison, samples, thinking, validity
from stages.experiments import seeds
from stages.params.schema import Grading
from stages.report import charts, display, page, plots, questions, tables, verdict, wording
from stages.report.context import Context, outcomes

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "nav",
    "section",
    "article",
    "figure",
    "div",
}
TAGS |= {"figcaption", "svg", "g", "path", "use", "defs", "text", "rect", "clipPath", "clippath", "script", "form"}
TAGS |= {"h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"a", "b", "bdi", "code", "del", "details", "fieldset", "input", "ins", "label", "legend", "mark", "option"}
TAGS |= {"button", "select", "small", "span", "summary"}
GRADING = Grading(relative_tolerance=0.01, overlap_threshold=0.4, seed=42)
HOSTILE = [
    "<script>window.pwned=1</script>",
    '<img src="https://example.org/x.png" onerror="window.pwned=1">',
    "</details></article></main><h1>pwned</h1>",
    "<style>*{display:none}</style><!-- ",
    '" onmouseover="window.pwned=1" x="',
    "' autofocus onfocus='window.pwned=1",
    "{{ 7 * 7 }}{% include 'page.py' %}${7*7}",
    "</script><svg onload=window.pwned=1>",
    "a\0b\x1b[31mc\x85d",
    "\u202e321 si erocs ehT\u2066",
    "half \ud800 a pair \udfff",
]


def row(name, before, after, *, kind="number", finish_reason="stop", asked=None, **record):
    """A question graded before and after, as comparison.graded gives it; a list of texts is as many samples."""
    number = f"{name}-{len(before)}-{len(after)}"
    record = {"id": number, "set": name, "kind": kind, "question": "How much?", "answer": "3"} | record
    arms = {}
    for arm, texts in (("before", before), ("after", after)):
        rows = [
            {"text": text, "tokens": len(text.split()), "finish_reason": finish_reason, "sample": place, "asked": asked}
            for place, text in enumerate([texts] if isinstance(texts, str) else texts)
        ]
        arms[arm] = samples.arm(record, rows, GRADING, thinking.TAGS)
    return {"record": record, "set": name, **arms}


def context(rows, **more):
    """A report's context with the results of these rows, and something of everything else."""
    whole = {
        "free": [{"question": "Why?", **{arm: rows[0][arm] for arm in comparison.ARMS}}],
        "loss": [{"step": "5", "loss": "2.5", "eval_loss": ""}, {"step": "10", "loss": "1.5", "eval_loss": "1.75"}],
        "training": {"mean_loss": 2.0, "loss": 1.5, "eval_loss": 1.75, "steps": 10, "rows": 40}
        | {"trainable_parameters": 5, "total_parameters": 1000}
        | {"processor": "AMD EPYC", "kernels": "AVX512, avx512_bf16"},
        "dataset": {
            "source": "builtin",
            "kept": {"train": 40, "heldout": {"validation": 20, "test": 19}},
            "dropped": {"dataset": {"asked twice": 7}},
            "leaks": {"heldout": {"same words": 4}},
            "unused": {"dataset": 18},
        },
        "prompts": {
            "tokens": {"median": 30, "min": 20, "max": 40},
            "overlong": {"dropped": 2, "truncated": 0},
            "tagged": 3,
            "train": 35,
            "example": {"prompt": "How much?", "completion": " 3"},
        },
        "params": {"lora": {"r": 16, "target_modules": ["q_proj"]}, "free_questions": []},
        "versions": {"torch": "2.13.0"},
        "revisions": {"base model": "6a6f4aa4"},
        "studies": {"control": None, "seeds": None},
    }
    results = more.pop("results", None) or comparison.summarise(rows, GRADING)
    return Context(**{"results": results, "rows": rows, "tags": thinking.TAGS, **whole, **more})


def sample(fixed=12, broken=1, wrong=4, right=3, name="heldout"):
    """Rows with so many of each outcome."""
    good, bad = "<think>\n1 + 2 = 3\n</think>\nThe score is 3.", "The score is 5."
    pairs = [(bad, good)] * fixed + [(good, bad)] * broken + [(bad, bad)] * wrong + [(good, good)] * right
    return [row(name, *pair, id=f"{name}-{place}") for place, pair in enumerate(pairs)]


def result(before, after, n=120, verdict="better", **more):
    """A set's result as comparison.summarise gives it, in what sentences use."""
    rates = {"n": n, "before": before / n, "after": after / n, "diff": (after - before) / n, "verdict": verdict}
    tests = {"ci_low": -0.083, "ci_high": 0.1, "p_value": 0.5, "p_corrected": 0.5, "smallest_difference": 0.17}
    how = {"weak": False, "rule": "choice", "threshold": None, "few": False, "groups": None, "about": "asked"}
    beside = {"baselines": None, "written": rates | tests, "samples": 1, "looks": 1, "warnings": []}
    return rates | tests | how | beside | {"split": "validation", "pass_at_k": None, "majority": None} | more


def baselines(verdict, rate=0.23):
    constant = {"most_frequent": {"answer": "0", "rate": rate}, "chance": {"rate": 0.2}, "nearest": None}
    return constant | {"best": "most_frequent", "verdict": verdict}


class Page(HTMLParser):
    """A page read as a browser would: its tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_a_set_without_a_question_in_the_split_is_named():
    kept = {"train": 40, "heldout": {"validation": 20, "test": 19}, "mine": {"validation": 0, "test": 2}}
    found = context(sample())
    found.dataset["kept"] = kept
    said = "mine: no question of it is in the validation split, so it has no verdict here; it needs more rows."
    assert said in page.markdown(found)
    assert said in Page(page.html(found)).text
    assert "no verdict here" not in page.markdown(context(sample()))


def test_better_is_said_with_counts_points_interval_and_p():
    found = result(1, 62, ci_low=0.4149, ci_high=0.5957, p_corrected=1e-15)
    assert verdict.sentence("held-out questions", found) == (
        "Asked for the answer, this adapter is better than the base on held-out questions: 62 of 120 right, 1 before "
        "(+50.8 points, 95 % interval +41.5 to +59.6, p < 0.001). "
        "Only the option stated in the end is graded, not the reasoning."
    )


def test_worse_is_said_with_a_true_minus_and_each_correction():
    found = result(30, 20, 60, "worse", ci_low=-0.27, ci_high=-0.06, p_corrected=0.0132, looks=3)
    assert verdict.sentence("medqa", found, sets=2) == (
        "Asked for the answer, this adapter is worse than the base on medqa: 20 of 60 right, 30 before "
        "(−16.7 points, 95 % interval −27.0 to −6.0, p = 0.013 after Holm’s correction for 2 sets and Bonferroni’s for "
        "3 configurations). Only the option stated in the end is graded, not the reasoning."
    )


def test_no_difference_is_said_with_what_could_have_been_found():
    assert verdict.sentence("medqa", result(17, 18, 60, "no difference shown")) == (
        "Asked for the answer, no difference shown on medqa: 18 of 60 right, 17 before (+1.7 points, 95 % interval "
        "−8.3 to +10.0, p = 0.50). With 60 questions, only a true difference of at least 17 points would have been "
        "found in 80 % of runs: a smaller one may be there. Only the option stated in the end is graded, not the "
        "reasoning."
    )
    few = result(0, 1, 4, "no difference shown", smallest_difference=None)
    assert "With 4 questions, no difference however large could have been shown." in verdict.sentence("x", few)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ("better", "better than the base and than always answering “0” (23 of 100) on x: 24 of 100 right, 2 before."),
        ("worse", "than the base, but worse than always answering “0” (23 of 100), on x: 24 of 100 right, 2 before."),
        ("no difference shown", "the base, but not than always answering “0” (23 of 100), on x: 24 of 100 right, 2"),
    ],
)
def test_better_than_the_base_is_measured_against_what_needs_no_model(beside, said):
    assert said in verdict.headline({"x": result(2, 24, 100, baselines=baselines(beside))})
    assert "always" not in verdict.headline({"x": result(24, 2, 100, "worse", baselines=baselines(beside))})


def test_baselines_are_named():
    found = result(1, 9, baselines=baselines("better") | {"nearest": {"rate": 0.5}})
    assert verdict.baseline_rates(found) == "always “0” 23.0 %, chance 20.0 %, nearest training question 50.0 %"
    assert verdict.baseline_rates(result(1, 9)) == "–"
    copied = found["baselines"] | {"best": "nearest"}
    assert "than copying the answer of the nearest training question (60 of 120)" in verdict.headline(
        {"x": found | {"baselines": copied}}
    )


def test_several_samples_are_a_share():
    assert verdict.headline({"x": result(30, 62, samples=4)}).endswith("on x: 51.7 % right, 25.0 % before.")


def test_a_weak_grade_is_called_weak_everywhere():
    rows = [row("open", "It is gout.", "It is gout.", kind="open", answer="gout", id=str(place)) for place in range(9)]
    whole = context(rows)
    assert "The grade is weak" in verdict.sentence("open", whole.results["open"])
    assert "| as written, weak |" in page.markdown(whole)
    assert verdict.headline(whole.results).startswith("By wording alone (weak), no difference shown on open")
    html = page.html(whole)
    assert html.count("✓ right (weak)") == 2 * 9
    assert "weak grade" in html
    assert "Weak grades." in html


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"rule": "number", "threshold": 0.025}, "the final number is graded, not the reasoning; .* off by 2.5 %"),
        ({"rule": "choice"}, "Only the option stated in the end is graded, not the reasoning"),
        ({"rule": "match", "weak": True}, "The grade is weak: .*does not look at the reasoning"),
        ({"rule": "overlap", "weak": True, "threshold": 0.35}, "The grade is weak: .*ROUGE-L F1 of 0.35"),
    ],
)
def test_what_is_graded_and_how_strictly_stands_beside_the_verdict(how, said):
    assert re.search(said, verdict.sentence("x", result(1, 9, **how)))


def test_thresholds_and_few_questions_stand_in_page_summary_and_scores():
    whole = context(sample(6, 0, 0, 0))
    for text in (Page(page.html(whole)).text, page.markdown(whole), verdict.sentence("x", whole.results["heldout"])):
        assert "With 6 questions, fewer than 30, a verdict is a hint, not a result." in text
        assert "one that is not whole may be off by 1 %" in text
    scores = comparison.scores(whole.results)
    assert (scores["verdict"], scores["n"], scores["few"]) == ("better", 6, True)
    assert "With 6 groups of questions" in wording.few(result(1, 9, few=True, groups=6))
    none = result(1, 1, 9, "no difference shown", few=True, groups=6)
    assert wording.power(none).startswith("With 9 questions in 6 groups, only a true difference")
    assert wording.few(result(1, 9)) == ""


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        (0.01, 0.2, 0.08, "holds no 0; after its correction, p is above 0.05"),
        (-0.2, -0.01, 0.08, "holds no 0; after its correction, p is above 0.05"),
        (-0.01, 0.2, 0.04, "p is at most 0.05, but the interval holds 0, and a verdict needs both"),
        (-0.01, 0.2, 0.08, None),
    ],
)
def test_where_interval_p_and_verdict_part_the_report_says_why(low, high, p, said):
    found = result(1, 9, verdict="no difference shown", ci_low=low, ci_high=high, p_corrected=p)
    assert wording.parting(found, p) == "" if said is None else said in verdict.sentence("x", found, 3)
    assert wording.parting({**found, "verdict": "better"}, p) == ""


def test_nine_fixed_and_two_broken_show_no_difference_in_verdict_p_and_interval():
    said = verdict.sentence("x", context(sample(9, 2, 0, 89)).results["heldout"])
    assert "no difference shown on x: 98 of 100 right, 91 before" in said
    assert "(+7.0 points, 95 % interval 0.0 to +14.7, p = 0.065)" in said
    assert "An interval that holds 0 does not show a difference." in page.html(context(sample(9, 2, 0, 89)))


def test_what_is_unfair_or_weak_is_said_aloud():
    codes = [
        {"code": "cut_off", "before": 0.01, "after": 0.6},
        {"code": "stated", "before": 0.95, "after": 0.33},
        {"code": "unread", "before": 0, "after": 4},
        {"code": "one_letter", "letter": "<b>", "share": 0.75},
    ]
    found = result(1, 9, 9, warnings=codes)
    assert verdict.warnings(found) == [
        "The token limit cuts 1 % of the answers before, 60 % after: it treats them unequally.",
        "95 % of the answers before state something, 33 % after: one model knows the form asked for.",
        "0 answers before and 4 after state nothing even when asked: they count as wrong.",
        "The right answer is <b> in 75 % of the questions: a habit may pass for knowledge.",
    ]
    rows = sample()
    results = comparison.summarise(rows, GRADING)
    results["heldout"] |= {"warnings": codes, "few": False}
    html = page.html(context(rows, results=results))
    assert html.count('<li class="warning">') == 4
    assert "is &lt;b&gt; in" in html


def test_of_small_sets_it_is_said_once_that_they_are_small():
    unfair = [{"code": "cut_off", "before": 0.0, "after": 0.6}, {"code": "unread", "before": 0, "after": 4}]
    small, large = result(1, 9, 9, few=True, warnings=unfair), result(9, 60, 90, "better", warnings=[])
    hint, unread = verdict.warnings(small)
    assert hint == "With 9 questions, fewer than 30, a verdict is a hint, not a result."
    assert unread.startswith("0 answers before and 4 after")
    alone = verdict.headline({"x": large})
    assert verdict.headline({"x": large, "y": small}) == (
        f"{alone} 1 further set of fewer than 30 questions is a hint."
    )
    assert verdict.headline({"x": large, "y": small, "z": small}) == (
        f"{alone} 2 further sets of fewer than 30 questions are hints."
    )
    rows = sample()
    results = comparison.summarise(rows, GRADING)
    results = {"one": {**results["heldout"], "few": True}, "two": {**results["heldout"], "few": True}}
    assert page.html(context(rows, results=results)).count("one, two: With") == 1


def test_every_warning_of_the_comparison_has_words():
    found = re.findall(r'"code": "(\w+)"|\("(\w+)", "\w+", [A-Z]', Path(validity.__file__).read_text(encoding="utf-8"))
    assert {one or other for one, other in found} == {*verdict.WARNINGS, "few"}


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ({}, "These questions may choose the configuration (validation); make verdict asks the others (test)."),
        ({"a": 1, "b": 1}, "Test questions, looked at in this configuration alone: they chose nothing."),
        ({"a": 3, "b": 3}, "Test questions, looked at in 3 configurations; p is corrected for it."),
        ({"a": 3, "b": 1}, "Test questions, looked at in 3 (a), 1 (b) configurations; p is corrected for it."),
    ],
)
def test_the_reader_is_told_whether_the_questions_chose_the_configuration(looks, said):
    results = {name: result(1, 9, split="test", looks=of) for name, of in looks.items()} or {"a": result(1, 9)}
    assert verdict.standing(results) == [said]
    assert verdict.standing({}) == []


def test_this_adapter_and_the_recipe_are_told_apart():
    rows, swings = sample(), np.random.default_rng(0).random((5, 40)) - 0.2
    recipe = asdict(seeds.recipe(swings))
    study = {"seeds": [1, 2, 3, 4, 5], "sets": {"heldout": {"after": [0.7] * 5, "recipe": recipe}}}
    said = Page(page.html(context(rows, studies={"control": None, "seeds": study}))).text
    assert "this adapter is better than the base" in said
    assert re.search(
        r"The recipe, 5 training seeds: better, \+\d+\.\d points \(\+.* to \+.*\); SD \d.*; one more seed: \+",
        said,
    )
    assert "One training run, one seed." not in said
    alone = Page(page.html(context(rows))).text
    assert "This is one adapter, of one training seed; what the recipe gives, make seeds tells." in alone
    assert "One training run, one seed." in alone
    several = {"seeds": [1, 2], "sets": {name: {"recipe": recipe} for name in "ab"}}
    sets = {"a": result(1, 9), "b": result(1, 9, few=True)}
    assert len(verdict.recipe(sets, several)) == 1  # nothing of a small set beside a larger one
    assert len(verdict.recipe({"b": sets["b"]}, several)) == 1
    (tested,) = verdict.recipe({"a": result(1, 9, split="test")}, None)  # studies are of the validation questions
    assert tested.endswith("what the recipe gives on the validation questions, make seeds tells.")


def test_the_control_s_gain_stands_beside_the_run_s():
    study = {"sets": {"heldout": {"diff": 0.15}}}
    whole = context(sample(), studies={"control": study, "seeds": None})
    html, short = page.html(whole), page.markdown(whole)
    assert 'data-head="Form alone">+15.0</td>' in html
    assert re.search(r"\| held-out questions \| always .* \| \+15.0 \|", short)
    for text in (html, short):
        assert "Form alone is what a control gains" in text
        assert "make control" not in text
    assert "make control" in page.html(context(sample()))


def test_the_control_of_open_questions_is_its_reference_loss():
    loss = {"n": 9, "before": 2.5, "after": 0.5, "diff": -2.0, "ci_low": -2.1, "ci_high": -1.9, "p_value": 0.001}
    weak = result(1, 1, weak=True, reference_loss=loss | {"verdict": "better"})
    study = {"sets": {"x": {"diff": 0.15, "reference_loss": {"diff": -1.25}}, "y": {"diff": 0.15}}}
    assert [verdict.control(study, name, weak) for name in "xyz"] == ["−1.25 nats", "–", "–"]
    assert verdict.reference_losses({"x": weak}, study)[0].endswith("changes by −1.250 nats: that is form.")
    assert verdict.reference_losses({"y": weak}, None)[0].endswith("more likely.")


def test_an_answer_that_was_asked_for_shows_what_it_said_then():
    options = {"A": "Aspirin", "B": "Heparin"}
    rows = [row("x", "Who knows?", "Answer: A", kind="choice", options=options, answer="A", asked="A", id="1")]
    html = page.html(context(rows, free=[]))
    assert "asked again: <b><bdi>A.</bdi> <bdi>Aspirin</bdi></b>" in " ".join(html.split())
    assert "as written: no answer stated" in html
    assert html.count("✓ right") == 2
    assert outcomes(rows) == {"fixed": 0, "broken": 0, "wrong": 0, "right": 1}
    assert "| x | 1 | as written | 0.0 % | 100.0 % |" in page.markdown(context(rows, free=[]))


def test_samples_go_by_their_majority_and_unfold():
    good, bad = "The score is 3.", "The score is 5."
    rows = [row("x", [bad, bad, good], [good, bad, "Answer: <b>3</b>"], id=str(place)) for place in range(4)]
    whole = context(rows, free=[])
    html, short = page.html(whole), page.markdown(whole)
    assert outcomes(rows)["fixed"] == 4
    assert "by the majority of its samples" in html
    assert "1 of 3 samples right" in html
    assert "2 of 3 samples right" in html
    assert html.count('<details class="thinking sample">') == 4 * 2 * 2
    assert "Answer: &lt;b&gt;3&lt;/b&gt;" in html
    for said in ("at least once in 3, pass@3", "by majority, maj@3"):
        assert said in html
        assert said in short
    assert "Rates are means over 3 samples a question (avg@3)." in html
    assert "One answer a question." not in html


def test_open_answers_have_no_majority_but_most_may_be_right():
    texts = ["It is gout.", "It is gout, yes.", "It is flu."]
    rows = [row("open", texts, texts[2:] * 3, kind="open", answer="gout", id="1")]
    assert outcomes(rows)["broken"] == 1


def test_the_table_of_answers_has_a_row_a_sample():
    rows = [row("x", ["The score is 3.", "Who knows?"], ["Answer: 3"] * 2, asked="2", id="1", question="a,\n“b”")]
    table = list(csv.DictReader(io.StringIO(tables.answers(rows))))
    assert [(one["id"], one["set"], one["sample"], one["question"]) for one in table] == [
        ("1", "x", "0", "a,\n“b”"),
        ("1", "x", "1", "a,\n“b”"),
    ]
    found = {key: [one[f"before_{key}"] for one in table] for key in tables.COLUMNS}
    assert found == {
        "correct": ["True", "False"],
        "written": ["True", "False"],
        "was_asked": ["False", "True"],
        "asked": ["2", "2"],
        "extracted": ["3", ""],
        "reason": ["", "no answer stated"],
        "finish_reason": ["stop", "stop"],
        "tokens": ["4", "2"],
        "text": ["The score is 3.", "Who knows?"],
    }


def test_a_cut_off_answer_is_told_once():
    rows = sample(1)
    cut = {"reason": "cut off", "extracted": None, "finish_reason": "length"}
    rows[0]["before"] |= cut
    rows[0]["before"]["samples"][0] |= cut
    html = page.html(context(rows, free=[]))
    assert "✗ cut off before a final answer" in html
    assert 'class="warn">cut off' not in html
    assert '<tr><th scope="row">cut off before a final answer</th><td>1 of' in html


def test_a_free_answer_that_is_cut_off_is_shown_as_such():
    written = {"text": "It may be", "tokens": 3, "finish_reason": "length"}  # as an engine writes it, without a grade
    html = page.html(context(sample(1), free=[{"question": "Why?", "before": written, "after": written}]))
    assert html.count('class="warn">cut off') == 2


def test_what_is_not_known_is_said_to_be_so():
    assert wording.percent(None) == "–"
    assert wording.reference_loss(None) == ""


@pytest.mark.parametrize(
    ("p", "text"),
    [(0, "p < 0.001"), (0.001, "p = 0.001"), (0.0496, "p = 0.050"), (0.0996, "p = 0.10"), (0.999, "p = 1.00")],
)
def test_p_values(p, text):
    assert wording.p_value(p) == text


@pytest.mark.parametrize(("value", "text"), [(-0.04, "0.0"), (0.0, "0.0"), (12.34, "+12.3"), (-8, "−8.0")])
def test_signed_numbers(value, text):
    assert wording.signed(value) == text


def test_the_headline_counts_sets_that_are_asked():
    better, worse = result(1, 9, baselines=baselines("better")), result(9, 1, verdict="worse")
    none, weak = result(5, 5, verdict="no difference shown"), result(1, 9, about="written", weak=True)
    assert verdict.headline({"a": better, "b": worse, "c": none, "d": weak}) == (
        "Asked for the answer, this adapter is better than the base on 1 of 3 sets of questions (on 1 of these also "
        "than what needs no model), worse on 1, no difference shown on 1."
    )
    assert verdict.headline({"a": worse, "b": worse}) == (
        "Asked for the answer, this adapter is better than the base on none of 2 sets of questions, worse on 2."
    )
    assert verdict.headline({"a": none, "b": none}) == (
        "Asked for the answer, no difference shown on any of 2 sets of questions."
    )
    assert verdict.headline({"a": weak, "b": weak}).startswith("By wording alone (weak), this adapter is better")
    assert verdict.headline({}) == "Nothing was graded: there was no held-out question."


def test_rows_that_were_not_learned_from_are_counted():
    whole = context(sample())
    assert "With a tag of the thinking: 3 dropped." in page.markdown(whole)
    assert "With a tag of the thinking3 dropped" in Page(page.html(whole)).text


def test_a_lower_loss_on_the_reference_texts_is_better():
    loss = {"n": 99, "before": 2.3, "after": 0.4, "diff": -1.9, "ci_low": -2.0, "ci_high": -1.8, "p_value": 0.0001}
    loss["verdict"] = "better"
    assert "of 99 questions, costs" in wording.reference_loss(loss)
    assert wording.reference_loss(loss).endswith(
        "2.300 nats before and 0.400 after (−1.900 nats, 95 % interval −2.000 to −1.800, p < 0.001; lower is better): "
        "the fine-tune makes the reference texts more likely."
    )
    assert "less likely" in wording.reference_loss({**loss, "verdict": "worse"})
    loss |= {"verdict": "no difference shown", "ci_high": 0.1}
    assert wording.reference_loss({**loss, "p_value": 0.2}).endswith("no difference shown.")
    assert wording.reference_loss({**loss, "p_value": 0.04}).endswith("the interval holds 0, and a verdict needs both.")


def test_the_page_shows_the_verdict_the_counts_and_the_rest():
    whole = context(sample())
    html, shown = page.html(whole), Page(page.html(whole)).text
    assert outcomes(whole.rows) == {"fixed": 12, "broken": 1, "wrong": 4, "right": 3}
    for said in (
        "15 of 20 right, 4 before",
        "7 asked twice",
        "4 same words",
        "2.13.0",
        "AMD EPYC",
        "avx512_bf16",
        "6a6f4aa4",
        "lora.r",
        "1 + 2 = 3",
    ):
        assert said in shown
    for key, count in outcomes(whole.rows).items():
        assert html.count(f'<article class="question is-{key}"') == count
        assert f'data-show="{key}"><b>{count}</b>' in html
    assert "not a medical device" in shown
    assert len(re.findall(r"<svg[^>]* role=\"img\"|<svg[^>]* aria-label=\"[^\"]{20,}", html)) == 4


def test_nothing_can_be_fetched():
    html = page.html(context(sample() + [row("b", text, text) for text in HOSTILE]))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "unsafe" not in policy
    found = Page(html)
    for name, value in found.attributes:
        assert name not in ("src", "srcset", "style", "action", "data", "poster"), (name, value)
        assert not name.startswith("on"), (name, value)
        assert name != "href" or value.startswith("#"), value
        assert "url(" not in (value or "") or value.startswith("url(#"), value
    style = (page.HERE / "style.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text_wherever_it_stands(text):
    rows = [
        row("heldout", f"<think>{text}</think>{text}", text, question=text, reasoning=text, response=text, id=text),
        row("a", text, f"{text} 3", kind="choice", question=text, options={"A": text, "B": "b"}, answer="A"),
        row("b", text, f"It is {text}", kind="open", question=text, answer=text),
    ]
    whole = context(
        rows,
        free=[{"question": text, **{arm: rows[0][arm] for arm in comparison.ARMS}}],
        dataset={
            "source": text,
            "kept": {text: {text: 1}},
            "dropped": {text: {text: 1}},
            "leaks": {text: {text: 2}},
            "unused": {text: 1},
        },
        params={text: {text: text}},
        versions={text: text},
        revisions={text: text},
    )
    whole.results[text] = whole.results["heldout"]
    html = page.html(whole)
    html.encode()
    found = Page(html)
    assert set(found.tags) <= TAGS
    assert found.tags.count("script") == found.tags.count("style") == found.tags.count("h1") == 1
    assert {name for name, _ in found.attributes if name.startswith("on")} == set()
    assert found.text.count(display.clean(text)) >= 12
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    short = page.markdown(whole)
    short.encode()
    assert not re.search(r"(?<!\\)<(?! 0)", short)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_becomes_utf_8(text):
    assert len(display.clean(display.clip(text, 50)).encode()) < 1_000


@given(st.text(alphabet="ab </think>\n", max_size=80), st.text(alphabet="ab </think>\n", max_size=80))
def test_marks_change_no_word(before, after):
    marked = display.marked(before, after)
    if marked is not None:
        assert ["".join(text for _, text in side) for side in marked] == [before, after]


def test_marks_are_of_the_words_that_differ():
    before, after = display.marked("The CURB-65 score is 2, so: home.", "The CURB-65 score is 3, so: ward.")
    assert [text for alone, text in before if alone] == ["2", "home"]
    assert [text for alone, text in after if alone] == ["3", "ward"]
    assert display.marked("Nothing of this is shared.", "Something else altogether, quite.") is None
    assert display.marked("word " * 5_000, "word " * 4_999) is None


@pytest.mark.parametrize(
    ("before", "after", "alone", "words"),
    [
        ("最可能的诊断是病毒性脑膜炎。", "最可能的诊断是细菌性脑膜炎。", ["病毒", "细菌"], 14),
        ("التشخيص هو الرَّبو الآن", "التشخيص هو السُّل الآن", ["الرَّبو", "السُّل"], 4),
        ("Это пневмония у него", "Это бронхит у него", ["пневмония", "бронхит"], 4),
        ("un e\u0301tat se\u0301ve\u0300re ici", "un e\u0301tat stable ici", ["se\u0301ve\u0300re", "stable"], 4),
        ("निदान मलेरिया है अब", "निदान टाइफाइड है अब", ["मलेरिया", "टाइफाइड"], 4),
        ("ให้ยาปอดบวม", "ให้ยาหอบหืด", ["ปบวม", "หบหื"], 11),
    ],
)
def test_marks_and_counts_are_of_words_in_any_script(before, after, alone, words):
    sides = display.marked(before, after)
    assert ["".join(text for own, text in side if own) for side in sides] == alone
    assert ["".join(text for _, text in side) for side in sides] == [before, after]
    assert display.words(before) == words


def test_a_long_text_is_shortened_in_its_middle_and_says_so():
    assert display.clip("a" * 50 + "b" * 1_000 + "c" * 50, 100) == (
        "a" * 50 + "\n[… 1,000 characters are left out here …]\n" + "c" * 50
    )
    huge = row("heldout", "<think>" * 100_000, "3 " * 500_000)
    assert len(page.html(context([huge] * 4))) < 400_000


def test_a_page_of_many_questions_stays_bounded():
    one, four = ({arm: {"samples": [0] * count} for arm in comparison.ARMS} for count in (1, 4))
    assert questions.limit([one] * 10) == 20_000
    assert questions.limit([one] * 2_000) == 6_000
    assert questions.limit([four] * 2_000) == 1_500
    assert questions.limit([one] * 100_000) == 1_000
    assert questions.limit([four] * 4_000) == 0  # the first samples alone


def test_the_same_context_gives_the_same_bytes():
    assert page.html(context(sample())) == page.html(context(sample()))
    assert page.markdown(context(sample())) == page.markdown(context(sample()))


def test_a_reader_s_own_matplotlibrc_changes_nothing():
    import matplotlib

    whole = context(sample())
    before = page.html(whole)
    with matplotlib.rc_context({"axes.labelpad": 30, "xtick.labelsize": 30, "svg.fonttype": "path"}):
        assert page.html(whole) == before


def test_charts_take_every_colour_from_the_page():
    whole = context(sample())
    for chart in charts.all_of(whole).values():
        assert "style=" not in chart
        assert not re.search(r"#[0-9a-f]{6}\b|rgb\(", chart)
        assert set(re.findall(r"(?:fill|stroke)=\"([^\"]*)\"", chart)) <= {"none"}
    classes = set(re.findall(r"(?:fill|stroke)-(?:ink|soft|line|better|worse|paper)\b", chart))
    assert all(f".{name} {{" in (page.HERE / "style.css").read_text(encoding="utf-8") for name in classes)


def test_charts_say_the_same_in_words_and_escape_names():
    results = {
        '<b>"&': result(1, 62, baselines=baselines("better"))
        | dict.fromkeys(("before_low", "before_high", "after_low", "after_high"), 0.5)
    }
    chart = charts.rates(results)
    assert "0.8 % right before (50.0 to 50.0 %); " in chart
    assert "without a model: always “0” 23.0 %, chance 20.0 %" in chart
    assert "as asked: +50.8 points" in charts.differences(results)
    assert "<b>" not in chart
    assert "$x^2$" in charts.rates({"$x^2$": next(iter(results.values()))})


def test_a_logged_loss_that_is_missing_or_not_finite_is_left_out():
    rows = [{"step": "1", "loss": "nan", "eval_loss": "2.5"}, {"step": "2", "loss": "1", "eval_loss": ""}]
    assert charts.history(rows) == [(1.0, None, 2.5), (2.0, 1.0, None)]


def test_the_summary_is_one_screen_without_a_word_of_a_model():
    whole = context(sample() + sample(name="my_set"))
    short = page.markdown(whole)
    assert len(short.splitlines()) < 48
    assert "The score is 3" not in short
    assert "my\\_set" in short
    assert "| held-out questions | 20 | as asked | 20.0 % | 75.0 % | +55.0 (" in short
    assert "7 asked twice" in short
    assert "4 same words" in short
    assert "AMD EPYC, kernels AVX512, avx512\\_bf16" in short
    assert "not a medical device" in short


def test_the_limits_speak_of_this_run():
    assert "The built-in questions ask for bedside scores" in page.html(context(sample()))
    other = page.html(
        context(sample(), dataset={"source": "hub", "kept": {}, "dropped": {}, "leaks": {}, "unused": {}})
    )
    assert "The built-in questions" not in other
    assert "come from the same dataset as the training rows" in other


def test_plots_are_pictures_with_colours_of_their_own():
    drawn = plots.svgs(context(sample()))
    assert list(drawn) == ["rates", "differences", "loss", "lengths"]
    for text in drawn.values():
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        style = root[0].text
        used = set(re.findall(r'class="(?:chart|((?:fill|stroke)-\w+))', text)) - {""}
        assert used
        assert all(f".{name} {{" in style for name in used)
        assert set(re.findall(r"var\((--\w+)", style)) <= set(re.findall(r"(--\w+):", style))
        assert "http" not in text.replace("http://www.w3.org", "")
