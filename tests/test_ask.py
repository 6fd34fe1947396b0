"""The second question: the most likely letter or number behind an answer that names none plainly."""

import json
import random
import re

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, RecurrentGemmaConfig, RecurrentGemmaForCausalLM

from stages.data.parts import Parts
from stages.evaluate.grade import grade
from stages.generate import ask, budget
from stages.model import load, plain_english
from tests import families
from tests.conftest import ROOT
from tests.test_tokenizers import SPACES, trained

TAGS = ("<think>", "</think>")
CHOICE = {"kind": "choice", "letters": ["A", "B", "C", "D", "E"]}
NUMBER = {"kind": "number"}


def rows(prompts, kinds=(CHOICE, NUMBER)):
    return [{"prompt_ids": ids, **kind} for ids in prompts for kind in kinds]


def written(model, text, reason="length"):
    """An answer with this text."""
    ids = model.tokenizer(text, add_special_tokens=False).input_ids
    return {"token_ids": ids + [min(model.stop_ids)] * (reason == "stop"), "finish_reason": reason}


def asked(model, some, texts, reason="length", kept=None, tags=TAGS):
    generated = [written(model, text, reason) for text in texts]
    return ask.Asker(model, tags).answers(some, generated, texts, {} if kept is None else kept)


def by_hand(model, row, text, start="\n"):
    """What follows, read anew for every byte."""
    tokens, found = model.tokenizer, ""
    signs = row.get("letters") or [*"0123456789-."]
    whole = row["prompt_ids"] + tokens(f"{text}{start}{ask.PHRASE} ", add_special_tokens=False).input_ids
    while len(found) < ask.MOST:
        more = tokens(found, add_special_tokens=False).input_ids
        logits = model.network(torch.tensor([whole + more])).logits[0, -1]
        allowed = [one for one in signs if "letters" in row or re.fullmatch(r"-?(\d+(\.\d*)?)?", found + one)]
        ids = tokens.convert_tokens_to_ids(allowed)
        best = int(logits[ids].argmax())
        if found.strip("-") and ids[best] != int(logits.argmax()):
            break
        found += allowed[best]
        if "letters" in row:
            break
    return found.rstrip(".")


@pytest.fixture(scope="module", params=["llama", "gemma2", "gpt2", "mistral", "cohere", "opt"])
def model(request, tmp_path_factory):
    """A family with its own head and its own cache, long prompts beyond its window; it likes to write numbers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = families.make(request.param, tmp_path_factory.mktemp("ask"))
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)
    return load.LoadedModel(network, tokens, frozenset({tokens.eos_token_id}))


@torch.inference_mode()
def test_what_follows_is_the_most_likely_of_what_can_be_one(model, prompts):
    some = rows(prompts[:3])
    texts = ["It may be B or 3", ""] * 3
    assert asked(model, some, texts) == [by_hand(model, *one) for one in zip(some, texts, strict=True)]


@torch.inference_mode()
def test_a_model_without_a_cache_of_keys_reads_all_again(tiny_tokenizer, prompts):
    torch.manual_seed(0)
    config = RecurrentGemmaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, lru_width=32,
        attention_window_size=512, vocab_size=len(tiny_tokenizer), initializer_range=0.5, pad_token_id=259,
    )  # fmt: skip
    model = load.LoadedModel(RecurrentGemmaForCausalLM(config).eval(), tiny_tokenizer, frozenset({257}))
    some = rows(prompts[:2])
    assert asked(model, some, ["Well"] * 4) == [by_hand(model, row, "Well") for row in some]


def bytes_with_merges(pattern=None):
    """A tokenizer as GPT-2's (a blank is part of the next word or number), or as Llama 3's (not of a number)."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    if pattern:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, backend.pre_tokenizer])
    backend.decoder = decoders.ByteLevel()
    texts = [plain_english.TEXT, *(f"is {sign}{n} {n}.{n}" for n in range(120) for sign in ("", "-")), " A B C D E" * 9]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(texts * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")


LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
TOKENIZERS = {
    "GPT-2": bytes_with_merges,
    "Llama 3": lambda: bytes_with_merges(LLAMA_3),
    "bytes": lambda: families.tokenizer("llama"),
    **{
        f"{kind}, {space}": lambda kind=kind, space=space: trained(space, kind)
        for kind in ("bpe", "unigram")
        for space in SPACES
    },
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_model_that_knows_its_answer_gives_it_with_any_tokenizer(name, monkeypatch):
    """It would write the text that follows, in the tokens that its tokenizer makes of it."""
    tokens = TOKENIZERS[name]()
    parts, given = Parts(tokens), [5, 6, 7]
    asker = ask.Asker(load.LoadedModel(None, tokens, frozenset()), TAGS)

    def knows(text):
        whole = given + parts.ids([f"\n{ask.PHRASE} {text} points."], budget.TEXT)[0]

        def following(ids, past):
            assert whole[: len(ids)] == ids, tokens.convert_ids_to_tokens(ids)
            calls.append(len(ids))
            return torch.nn.functional.one_hot(torch.tensor(whole[len(ids)]), len(tokens)).float(), None

        calls = []
        monkeypatch.setattr(asker, "_next", following)
        return calls

    for letter in "ACE":
        calls = knows(letter)
        assert asker._letter(given, "\n", [*"ABCDE"]) == letter
        assert len(calls) == 1 or "unigram" in name or "bpe" in name
    for number in ("7", "12", "-3", "4.5", "110.25", "0"):
        knows(number)
        assert asker._number(given, "\n") == number


def test_an_open_thinking_is_closed_first_and_an_answer_that_is_cut_is_asked(base, prompts):
    some = rows(prompts[:1])
    for text, start in (("<think>Well", "\n</think>\n"), ("<think>Well</think>Answer: 3", "\n")):
        assert asked(base, some, [text] * 2) == [by_hand(base, row, text, start) for row in some]
    assert asked(base, some, ["Well\nAnswer: A", "Well\nAnswer: 3"], "stop") == [None, None]
    assert None not in asked(base, some, ["Well\nAnswer: A", "Well\nAnswer: 3"])
    assert None not in asked(base, some, ["<think>\nAnswer: A", "<think>\nAnswer: 3"], "stop")
    assert None not in asked(base, some, ["Answer: F", "Answer: A"], "stop")
    assert asked(base, [{"prompt_ids": prompts[0]}, {"prompt_ids": prompts[0], "kind": "open"}], ["", ""]) == [None] * 2


def test_what_was_asked_is_not_asked_again(base, prompts, monkeypatch):
    kept, some = {}, rows(prompts[:2])
    found = asked(base, some, ["Well"] * 4, kept=kept)
    assert len(kept) == 4
    kept.popitem()
    asked(base, some, ["Well"] * 4, kept=kept)
    monkeypatch.setattr(ask.Asker, "_next", None)
    assert asked(base, some, ["Well"] * 4, kept=kept) == found


def test_what_is_not_asked_the_grader_reads(tiny_tokenizer):
    """Behind any line and any thinking."""
    rng, seen = random.Random(0), 0
    graded = [json.loads(line) for line in (ROOT / "tests/graded_answers.jsonl").open(encoding="utf-8")]
    rules = {"relative_tolerance": 0.01, "overlap_threshold": 0.4, "finish_reason": "stop"}
    lines = [line for one in graded for line in one["text"].splitlines()]
    for record in rng.sample([one for one in graded if one["kind"] != "open"], 400):
        row = {"kind": record["kind"], "letters": sorted(record.get("options") or {})}
        end = f"{rng.choice(['', chr(10)])}\nAnswer: {rng.choice(row['letters'] or ['3', '-2', '4.5', '0'])}"
        thought = f"<think>\n{rng.choice(graded)['text']}\n</think>\n{rng.choice(lines)}{end}"
        for text in (record["text"], record["text"] + end, rng.choice(lines) + end, thought):
            if ask.is_stated(row, text, TAGS) and not budget.is_open(tiny_tokenizer, [1], text, TAGS):
                assert grade(record, text, **rules).extracted is not None, text
                seen += 1
    assert seen > 500
