"""Every engine gives the greedy answers of a model asked one question at a time, in whatever company a question is."""

import dataclasses

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, RecurrentGemmaConfig, RecurrentGemmaForCausalLM

from stages.files.errors import UserError
from stages.generate import engine, generate
from stages.generate.engines import continuous_batching, steps
from stages.model import load

ENGINES = ["continuous", "transformers"]


def settings(tiny, **changed):
    return tiny.generation.model_copy(update={"max_new_tokens": 24, "chunk_size": 64, **changed})


def answers(model, prompts, tiny, **changed):
    """Token ids by prompt; every answer comes whole, once, and says why it ended."""
    found = {}
    for piece in generate(model, prompts, settings(tiny, **changed)):
        assert piece.index not in found
        assert piece.finish_reason == ("stop" if piece.token_ids[-1] in model.stop_ids else "length")
        found[piece.index] = piece.token_ids
    return [found[index] for index in range(len(prompts))]


@pytest.fixture(scope="module")
def alone(base, prompts, tiny):
    """Answers of plain `generate`, one question at a time."""
    return answers(base, prompts, tiny, engine="transformers", batch_size=1)


@pytest.fixture(scope="module")
def stopping(base, alone):
    """The tiny model with two stop tokens that it does write, in some answers early, in others never."""
    return dataclasses.replace(base, stop_ids=base.stop_ids | {alone[0][3], alone[1][5]}, cache={})


def test_the_answers_differ_so_that_these_tests_can_fail(alone):
    assert len({tuple(ids) for ids in alone}) == len(alone)
    assert min(map(len, alone)) < 24 == max(map(len, alone)), "one ends by itself"


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 2, 4, 6, 50])
def test_a_batch_answers_as_singles_do(base, tiny, prompts, alone, name, batch_size):
    assert answers(base, prompts, tiny, engine=name, batch_size=batch_size) == alone


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_an_answer_ends_with_its_first_stop_token(base, tiny, stopping, prompts, alone, name, batch_size):
    def cut(ids):
        return ids[: next((place for place, one in enumerate(ids, 1) if one in stopping.stop_ids), len(ids))]

    expected = [cut(ids) for ids in answers(base, prompts, tiny, engine="transformers", batch_size=1)]
    assert min(map(len, expected)) < 5, "one stops early: the batch is refilled"
    assert answers(stopping, prompts, tiny, engine=name, batch_size=batch_size) == expected


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_stream_hands_out_the_same_tokens_as_they_come(stopping, tiny, prompts, name, batch_size):
    whole = answers(stopping, prompts, tiny, engine=name, batch_size=batch_size)
    streamed = [[] for _ in prompts]
    ended = []
    for piece in generate(stopping, prompts, settings(tiny, engine=name, batch_size=batch_size), stream=True):
        assert piece.index not in ended
        streamed[piece.index] += piece.token_ids
        ended += [piece.index] * (piece.finish_reason is not None)
        if len(ended) == 1:
            assert any(len(ids) > 0 for index, ids in enumerate(streamed) if index not in ended) or batch_size == 1
    assert streamed == whole
    assert sorted(ended) == list(range(len(prompts)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_a_cpu_an_answer_depends_on_its_own_prompt_alone(tiny, tiny_tokenizer, dtype):
    model = load.for_answers(tiny.model.model_copy(update={"dtype": dtype}), None, 1.0)
    prompts = tiny_tokenizer([f"{n} " * (3 + 29 * n % 71) for n in range(14)]).input_ids
    assert engine(settings(tiny)).independent(model)
    whole = answers(model, prompts, tiny, batch_size=8, max_new_tokens=80)
    for chosen in ([3], [13, 2], [5, 0, 9, 1, 7, 6, 12, 11, 4]):
        some = answers(model, [prompts[index] for index in chosen], tiny, batch_size=8, max_new_tokens=80)
        assert some == [whole[index] for index in chosen]
        model.cache.clear()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_that_is_drafted_is_the_one_of_its_batch(tiny, tiny_tokenizer, temperature, monkeypatch):
    """Also where drafts are wrong: here every third is, and where a draft reaches the end of the cache."""
    model = load.for_answers(tiny.model.model_copy(update={"dtype": "bfloat16"}), None, 1.0)
    prompts = tiny_tokenizer([f"{n} " * (3 + 29 * n % 71) for n in range(6)]).input_ids
    given = {"batch_size": 48, "max_new_tokens": 90, "temperature": temperature}
    monkeypatch.setattr(steps, "DRAFT", 48)  # never
    whole = answers(model, prompts, tiny, **given)
    monkeypatch.undo()
    model.cache.clear()
    following, drafted, shapes = steps.Steps._following, [], []

    def wrong(self, tokens, start, rows):
        found = following(self, tokens, start, rows)
        if rows == 1:
            drafted.append(start)
            return (found + 1) % 100 if start % 3 == 0 else found
        shapes.append(rows)
        return found

    monkeypatch.setattr(steps.Steps, "_following", wrong)
    for prompt, expected in zip(prompts, whole, strict=True):
        assert answers(model, [prompt], tiny, **given) == [expected]
    assert len(drafted) > 3 * len(shapes) > 0
    assert set(shapes) == {48}
    assert model.cache["steps"].slots == 1


def test_a_limit_of_its_own_ends_an_answer(base, tiny, prompts, alone):
    limits = [1, 5, 24, 2, 9, 1]
    found = [[] for _ in limits]
    for piece in continuous_batching.generate(base, prompts, settings(tiny, batch_size=3), limits):
        found[piece.index] += piece.token_ids
    assert found == [ids[:limit] for ids, limit in zip(alone, limits, strict=True)]


def test_the_model_answers_as_before_once_an_engine_has_used_it(base, tiny, prompts, alone):
    before = base.network.config._attn_implementation
    answers(base, prompts, tiny, engine="continuous")
    assert base.network.config._attn_implementation == before
    assert answers(base, prompts[:2], tiny, engine="transformers", batch_size=1) == alone[:2]


def test_attention_that_forgets_is_refused(tiny, tiny_tokenizer, prompts):
    config = MistralConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=len(tiny_tokenizer), sliding_window=8,
    )  # fmt: skip
    model = load.LoadedModel(MistralForCausalLM(config), tiny_tokenizer, frozenset({0}))
    with pytest.raises(UserError, match=r"generation\.engine: continuous cannot run mistral.* transformers"):
        answers(model, prompts, tiny, engine="continuous")


def test_a_model_that_padding_changes_is_asked_one_question_at_a_time(tiny, tiny_tokenizer, prompts):
    torch.manual_seed(0)
    config = RecurrentGemmaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, lru_width=32,
        attention_window_size=16, vocab_size=len(tiny_tokenizer), initializer_range=0.5, pad_token_id=259,
    )  # fmt: skip
    model = load.LoadedModel(RecurrentGemmaForCausalLM(config).eval(), tiny_tokenizer, frozenset({257}))
    alone = answers(model, prompts, tiny, engine="transformers", batch_size=1)
    assert answers(model, prompts, tiny, engine="transformers", batch_size=6) == alone
    model.cache["ignores_padding"] = True
    assert answers(model, prompts, tiny, engine="transformers", batch_size=6) != alone, "this test can fail"


@pytest.mark.parametrize("name", ENGINES)
def test_an_iterator_that_is_left_or_shared_spoils_no_other(base, tiny, prompts, alone, name):
    given = settings(tiny, engine=name, batch_size=3)
    model = dataclasses.replace(base, cache={})
    left = generate(model, prompts, given, stream=True)
    next(left)
    assert answers(model, prompts, tiny, engine=name, batch_size=3) == alone
    left.close()
    one, other = (generate(model, prompts, given, stream=True) for _ in range(2))
    found = [[[] for _ in prompts] for _ in range(2)]
    for pieces in zip(one, other, strict=True):
        for mine, piece in zip(found, pieces, strict=True):
            mine[piece.index] += piece.token_ids
    assert found == [alone, alone]
    paused = generate(model, prompts, given, stream=True)
    next(paused)
    ids = torch.tensor([prompts[0]])
    assert torch.equal(model.network(ids).logits, base.network(ids).logits)
