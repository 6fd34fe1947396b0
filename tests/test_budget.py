"""The budget for the thinking: closed by force where it is spent, the same tokens as without it everywhere else."""

import pytest

from stages.files.errors import UserError
from stages.generate import budget, generate

TAGS = ("<think>", "</think>")
CLOSE = "\n</think>\n"
ENGINES = ["continuous", "transformers"]


def settings(tiny, **changed):
    given = {"max_new_tokens": 40, "max_thinking_tokens": 9, "batch_size": 3, "chunk_size": 6, **changed}
    return tiny.generation.model_copy(update=given)


def answers(model, prompts, given, **more):
    found = sorted(generate(model, prompts, given, **more))
    assert [piece.index for piece in found] == list(range(len(prompts)))
    return found


@pytest.fixture
def opened(prompts, tiny_tokenizer):
    """The prompts, each ending in an open thinking, as R1's chat template does."""
    return [ids + tiny_tokenizer("<think>\n", add_special_tokens=False).input_ids for ids in prompts]


@pytest.mark.parametrize("temperature", [0, 0.8])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_spent_budget_closes_the_thinking_and_the_answer_goes_on(
    base, tiny, tiny_tokenizer, opened, engine, temperature
):
    close = tiny_tokenizer(CLOSE, add_special_tokens=False).input_ids
    given = settings(tiny, engine=engine, temperature=temperature)
    free = answers(base, opened, given)
    for piece, without, prompt in zip(answers(base, opened, given, tags=TAGS), free, opened, strict=True):
        if len(without.token_ids) < 9:
            assert piece == without
            continue
        assert piece.thinking_cut
        assert not without.thinking_cut
        assert piece.token_ids[: 9 + len(close)] == without.token_ids[:9] + close
        assert len(piece.token_ids) <= 40
        assert piece.finish_reason == ("length" if len(piece.token_ids) == 40 else "stop")
        if not temperature:
            after = prompt + piece.token_ids[: 9 + len(close)]
            rest = settings(tiny, engine=engine, max_thinking_tokens=None, max_new_tokens=31 - len(close))
            assert answers(base, [after], rest)[0].token_ids == piece.token_ids[9 + len(close) :]


@pytest.mark.parametrize("temperature", [0, 0.8])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_in_no_thinking_is_the_same_with_a_budget(base, tiny, prompts, engine, temperature):
    given = settings(tiny, engine=engine, temperature=temperature)
    without = answers(base, prompts, given)
    assert max(len(piece.token_ids) for piece in without) == 40
    assert answers(base, prompts, given, tags=TAGS) == without


def test_an_answer_that_opens_a_thinking_itself_is_closed_unless_it_closes_it(base, tiny, prompts, tiny_tokenizer):
    given = settings(tiny, temperature=1.5)
    (without,) = answers(base, prompts[:1], given)
    text = tiny_tokenizer.decode(without.token_ids[:9])
    opens, closes = text[:2], text[3:5]
    assert opens not in text[2:], "one opens it, the other closes it"
    (cut,) = answers(base, prompts[:1], given, tags=(opens, "</x>"))
    assert cut.thinking_cut
    assert answers(base, prompts[:1], given, tags=(opens, closes)) == [without]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_has_the_same_tokens_and_marks_those_that_no_model_wrote(base, tiny, opened, engine):
    given = settings(tiny, engine=engine)
    whole, streamed, forced = answers(base, opened, given, tags=TAGS), [[] for _ in opened], set()
    ended = []
    for piece in generate(base, opened, given, tags=TAGS, stream=True):
        assert piece.index not in ended
        streamed[piece.index] += piece.token_ids
        if piece.thinking_cut:
            assert base.tokenizer.decode(piece.token_ids) == CLOSE
            forced.add(piece.index)
        ended += [piece.index] * (piece.finish_reason is not None)
    assert streamed == [piece.token_ids for piece in whole]
    assert forced == {piece.index for piece in whole if piece.thinking_cut} != set()
    assert sorted(ended) == list(range(len(opened)))


def test_a_budget_that_leaves_no_room_for_an_answer_is_one_clear_line(base, tiny, prompts):
    line = r"^generation\.max_thinking_tokens: 35 and the closing tag \(10 tokens\) leave no room .* \(40\): lower"
    with pytest.raises(UserError, match=line):
        answers(base, prompts, settings(tiny, max_thinking_tokens=35), tags=TAGS)


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("Q <think>\n", "Fever.", True),
        ("Q <THINK> ", "Fever.", True),
        ("Q <think>\n", "Fever.</think> B", False),
        ("Q <think>\n", "Fever.</Think> B <think> no", True),
        ("Think in <think> tags. Q", "Fever.", False),
        ("Q", "<think>Fever.", True),
        ("Q", "<think>Fever.</think>", False),
        ("Q", "Fever.</think> B", False),
    ],
)
def test_whether_a_thinking_is_open_is_read_from_the_answer_and_the_end_of_its_prompt(
    tiny_tokenizer, prompt, text, expected
):
    assert budget.is_open(tiny_tokenizer, tiny_tokenizer(prompt).input_ids, text, TAGS) is expected


def test_headings_are_tags_too(tiny_tokenizer):
    ids = tiny_tokenizer("### Answer:\n## Thinking\n\n").input_ids
    tags = ["## Thinking", "## Final Response"]
    assert budget.is_open(tiny_tokenizer, ids, "It is B.", tags)
    assert not budget.is_open(tiny_tokenizer, ids, "It is B.\n\n## Final Response\n\nB", tags)
