"""Every engine gives the greedy answers of a model asked one question at a time, in whatever company a question is."""

import copy

import pytest
from tqdm import tqdm
from transformers import MistralConfig, MistralForCausalLM

from stages.files.errors import UserError
from stages.generate import answers as inference
from stages.generate.engines import continuous_batching

ENGINES = ["continuous", "transformers"]


def answers(base, tokenizer, prompts, tiny, **changed):
    generation = tiny.generation.model_copy(update={"max_new_tokens": 24, "chunk_size": len(prompts), **changed})
    found = {}
    with tqdm(total=len(prompts)) as progress:
        for batch, ids in inference.engine(generation)(base, tokenizer, prompts, generation, progress):
            found.update(zip(batch, ids, strict=True))
    return [found[index] for index in range(len(prompts))]


@pytest.fixture(scope="module")
def alone(base, tiny_tokenizer, prompts, tiny):
    """Answers of plain `generate`, one question at a time."""
    return answers(base, tiny_tokenizer, prompts, tiny, engine="transformers", batch_size=1)


@pytest.fixture(scope="module")
def stopping(tiny_tokenizer, alone):
    """A tokenizer whose stop token the tiny model does write, in some answers early, in others never."""
    other = copy.deepcopy(tiny_tokenizer)
    other.eos_token = other.convert_ids_to_tokens(alone[0][3])
    return other


def test_the_answers_differ_so_that_these_tests_can_fail(alone):
    assert len({tuple(ids) for ids in alone}) == len(alone)
    assert min(map(len, alone)) < 24 == max(map(len, alone)), "one ends by itself"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 2, 4, 6, 50])
def test_a_batch_answers_as_singles_do(base, tiny, tiny_tokenizer, prompts, alone, engine, batch_size):
    assert answers(base, tiny_tokenizer, prompts, tiny, engine=engine, batch_size=batch_size) == alone


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chunk_size", [1, 4, 6])
def test_an_answer_ends_with_its_first_stop_token(base, tiny, stopping, prompts, alone, engine, chunk_size):
    expected = answers(base, stopping, prompts, tiny, engine="transformers", batch_size=1)
    assert expected[0] == alone[0][: alone[0].index(stopping.eos_token_id) + 1], "it stops early: the batch is refilled"
    found = answers(base, stopping, prompts, tiny, engine=engine, batch_size=2, chunk_size=chunk_size)
    assert found == expected


def test_a_limit_of_its_own_ends_an_answer(base, tiny, tiny_tokenizer, prompts, alone):
    limits = [1, 5, 24, 2, 9, 1]
    generation = tiny.generation.model_copy(update={"max_new_tokens": 24, "chunk_size": 6, "batch_size": 3})
    with tqdm(total=6) as progress:
        ((order, found),) = continuous_batching.generate(base, tiny_tokenizer, prompts, generation, progress, limits)
        assert progress.n == 6
    assert dict(zip(order, found, strict=True)) == {
        index: ids[:limit] for index, (ids, limit) in enumerate(zip(alone, limits, strict=True))
    }


def test_the_model_answers_as_before_once_an_engine_has_used_it(base, tiny, tiny_tokenizer, prompts, alone):
    before = base.config._attn_implementation
    answers(base, tiny_tokenizer, prompts, tiny, engine="continuous")
    assert base.config._attn_implementation == before
    assert answers(base, tiny_tokenizer, prompts[:2], tiny, engine="transformers", batch_size=1) == alone[:2]


def test_attention_that_forgets_is_refused(tiny, tiny_tokenizer, prompts):
    config = MistralConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=len(tiny_tokenizer), sliding_window=8,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"generation\.engine: continuous cannot run mistral.* transformers"):
        answers(MistralForCausalLM(config), tiny_tokenizer, prompts, tiny, engine="continuous")
