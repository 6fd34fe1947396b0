"""Sampled tokens follow the nucleus of their distribution, and an answer's draws are its own in any company."""

import dataclasses
import random
from itertools import islice

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from stages.generate import engine
from stages.generate.sampling import MOST_LIKELY, pick, uniforms
from stages.model import load

ENGINES = ["continuous", "transformers"]
SEEDS = [7, 2**63, 3, 11, 2**127, 0]
NEW = 16


def settings(tiny, **changed):
    sampled = {"max_new_tokens": NEW, "chunk_size": 64, "batch_size": 3, "temperature": 0.8, "top_p": 0.9}
    return tiny.generation.model_copy(update=sampled | changed)


def answers(model, prompts, given, limits=None, seeds=SEEDS, offsets=None):
    """Token ids by prompt; every answer says why it ended."""
    found = [[] for _ in prompts]
    for piece in engine(given).generate(model, prompts, given, limits, seeds, offsets):
        found[piece.index] += piece.token_ids
        limit = limits[piece.index] if limits else given.max_new_tokens
        ended = "stop" if piece.token_ids[-1] in model.stop_ids else "length"
        assert piece.finish_reason == (ended if ended == "stop" or len(found[piece.index]) == limit else None)
    return found


@pytest.fixture(scope="module")
def sampled(base, prompts, tiny):
    """Answers of plain `generate` to one question at a time."""
    return answers(base, prompts, settings(tiny, engine="transformers", batch_size=1))


def slow(logits, number, temperature, top_p):
    """One token by the rule, word for word, in Python."""
    weights = [np.exp(np.float64(one) / temperature) for one in logits]
    total, kept, mass = sum(weights), [], 0.0
    for token in sorted(range(len(weights)), key=lambda token: -weights[token])[:MOST_LIKELY]:
        if mass / total < top_p:
            kept.append(token)
            mass += weights[token]
    left = number * mass
    for token in kept:
        left -= weights[token]
        if left < 0:
            return token
    raise AssertionError("the numbers are below 1")


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.05, 0.6, 0.95, 1.0])
def test_a_token_is_picked_as_by_the_rule(temperature, top_p):
    numbers = uniforms(5, 0, 64)
    logits = torch.randn((64, 1500), generator=torch.Generator().manual_seed(1)) * 2
    wanted = [slow(*pair, temperature, top_p) for pair in zip(logits.tolist(), numbers.tolist(), strict=True)]
    assert pick(logits, torch.from_numpy(numbers), temperature, top_p).tolist() == wanted


def test_the_edges_of_the_nucleus_and_of_the_numbers():
    logits = torch.tensor([0.1875, 0.5, 0.0625, 0.25]).log()
    nearly = 1 - 2**-24  # the largest number there is

    def picked(number, top_p, given=logits):
        return pick(given[None], torch.tensor([number]), 1.0, top_p).item()

    assert [picked(nearly, top_p) for top_p in (0.4, 0.6, 1.0)] == [1, 3, 2]
    assert [picked(number, 0.6) for number in (0.0, 0.66, 0.67)] == [1, 1, 3]
    masked = torch.tensor([-torch.inf, 0.0, -torch.inf])
    assert picked(nearly, 1.0, masked) == picked(0.0, 1.0, masked) == 1, "never a token that cannot be"
    level = torch.zeros(3000)
    beyond = {picked(number, 1.0, level) for number in np.linspace(0, nearly, 3000, dtype=np.float32).tolist()}
    assert len(beyond) == MOST_LIKELY
    assert pick(logits[None].repeat(2, 1), None, 0.0, 0.4).tolist() == [1, 1], "greedy: no number needed"


def test_picks_are_distributed_as_the_nucleus_is():
    logits = torch.tensor([0.3, 1.1, -0.7, 0.9, -3.0, 0.0])
    count = 5_000
    by_position = torch.from_numpy(uniforms(42, 0, count))
    by_seed = torch.tensor([uniforms(seed, 1, 1).item() for seed in range(count)])

    def expected(temperature):
        shares = (logits.double() / temperature).softmax(-1)
        shares[[4, 2]] = 0  # beyond 0.9 of the mass, at either temperature
        return (shares / shares.sum()).numpy() * count

    for numbers in (by_position, by_seed):
        picked = pick(logits.repeat(count, 1), numbers, 0.7, 0.9)
        found = np.bincount(picked.numpy(), minlength=6)
        assert found[[2, 4]].sum() == 0
        inside = [0, 1, 3, 5]
        assert chisquare(found[inside], expected(0.7)[inside]).pvalue > 1e-3
        assert chisquare(found[inside], expected(1.0)[inside]).pvalue < 1e-6, "this test can fail"


def test_numbers_depend_on_seed_and_position_alone():
    row = uniforms(2**100 + 1, 0, 50)
    for start in range(9):
        assert uniforms(2**100 + 1, start, 30).tolist() == row[start : start + 30].tolist()
    assert row.dtype == np.float32
    assert 0 <= row.min() < row.max() < 1
    assert abs(np.corrcoef(uniforms(1, 0, 10_000), uniforms(2, 0, 10_000))[0, 1]) < 0.05
    assert uniforms(42, 0, 3) == pytest.approx([0.82019811, 0.18924558, 0.86766076], abs=1e-7), (
        "as they were when answers were kept"
    )


def test_the_answers_are_sampled_so_that_these_tests_can_fail(base, tiny, prompts, sampled):
    greedy = answers(base, prompts, settings(tiny, temperature=0.0), seeds=None)
    assert all(one != other for one, other in zip(sampled, greedy, strict=True))
    again = answers(base, [prompts[0]] * 6, settings(tiny))
    assert len(set(map(tuple, again))) == 6, "seeds matter"
    assert again[0] == sampled[0]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch_size", [2, 50])
def test_both_engines_draw_the_same_in_any_company_and_order(base, tiny, prompts, sampled, name, batch_size):
    given = settings(tiny, engine=name, batch_size=batch_size)
    assert answers(base, prompts, given) == sampled
    order = random.Random(batch_size).sample(range(6), 4)
    some = answers(base, [prompts[index] for index in order], given, seeds=[SEEDS[index] for index in order])
    assert some == [sampled[index] for index in order]


@pytest.mark.parametrize("name", ENGINES)
def test_an_answer_goes_on_where_it_was_left_by_the_same_draws(base, tiny, prompts, sampled, name):
    given, limits = settings(tiny, engine=name), [1, 5, 9, 2, 16, 3]
    begun = answers(base, prompts, given, limits)
    assert begun == [ids[:limit] for ids, limit in zip(sampled, limits, strict=True)]
    left = [index for index in range(6) if len(begun[index]) < len(sampled[index])]
    assert len(left) >= 3
    rest = answers(
        base,
        [prompts[index] + begun[index] for index in left],
        given,
        [NEW - limits[index] for index in left],
        [SEEDS[index] for index in left],
        [limits[index] for index in left],
    )
    assert [begun[index] + more for index, more in zip(left, rest, strict=True)] == [sampled[index] for index in left]


@pytest.mark.parametrize("name", ENGINES)
def test_a_run_that_is_killed_half_way_changes_no_answer(base, tiny, prompts, sampled, name):
    model, given = dataclasses.replace(base, cache={}), settings(tiny, engine=name, batch_size=2)
    pieces = engine(given).generate(model, prompts, given, None, SEEDS)
    had = [piece.index for piece in islice(pieces, 40) if piece.finish_reason]
    pieces.close()
    left = [index for index in range(6) if index not in had]
    assert 0 < len(left) < 6
    rest = answers(model, [prompts[index] for index in left], given, seeds=[SEEDS[index] for index in left])
    assert rest == [sampled[index] for index in left]


def test_a_stop_token_ends_an_answer_and_its_slot_draws_as_a_new_one(base, tiny, prompts, sampled):
    stopping = dataclasses.replace(base, stop_ids=base.stop_ids | {sampled[0][3], sampled[1][5]}, cache={})
    ends = [next((place for place, one in enumerate(ids, 1) if one in stopping.stop_ids), NEW) for ids in sampled]
    assert min(ends) < 5
    for name in ENGINES:
        found = answers(stopping, prompts, settings(tiny, engine=name, batch_size=2))
        assert found == [ids[:end] for ids, end in zip(sampled, ends, strict=True)]


def test_one_model_samples_and_is_greedy_by_turns(base, tiny, prompts, sampled):
    model = dataclasses.replace(base, cache={})
    greedy = answers(model, prompts, settings(tiny, temperature=0.0), seeds=None)
    assert answers(model, prompts, settings(tiny)) == sampled
    assert answers(model, prompts, settings(tiny, top_p=1e-4)) == greedy, "a nucleus of one token"
    assert answers(model, prompts, settings(tiny, temperature=0.0)) == greedy


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_graphs_draw_as_generate_does(tiny, prompts):
    """In float32, so that no near tie falls otherwise; slots end, move and are filled again."""
    model = load.for_answers(tiny.model, None, 1.0)
    limits = [3, 16, 7, 12, 1, 16]
    found = [answers(model, prompts, settings(tiny, engine=name), limits) for name in ENGINES]
    assert found[0] == found[1]
    assert answers(model, prompts, settings(tiny), limits) == found[0], "graphs made before"
    assert answers(model, prompts, settings(tiny, temperature=2.0), limits) != found[0]
