"""Prompts of tokenizers that put spaces of their own, tokenizers of GGUF files, and plain English before all else."""

import copy
from types import SimpleNamespace

import gguf
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from stages.data.prompts import Formatter
from stages.files.errors import UserError
from stages.generate import base_check
from stages.model import load, plain_english
from stages.model.weights import gguf_tokenizer
from tests import families

ROW = {"id": "1", "set": "train", "question": "Which one?", "reasoning": "First, it beats.", "response": "The heart."}
SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|model|>"]
PLAIN = "### Query:\n{question}\n\n### Answer:\n"
CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>\n{{ m.content }}</s>\n"
    "{% else %}<|model|>{{ m.content }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}<|model|>{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}"
)
SPACES = {
    "metaspace, first": lambda one: metaspace(one, "first"),
    "metaspace, always": lambda one: metaspace(one, "always"),
    "metaspace in a sequence": lambda one: metaspace(one, "first", pre_tokenizers.Digits(individual_digits=True)),
    "Llama 2's normalizer": lambda one: setattr(
        one, "normalizer", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    ),
    "bytes, with a space": lambda one: setattr(one, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
}


def metaspace(backend, scheme, *others):
    space = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*others, space]) if others else space


def trained(space, kind, think=False):
    """A tokenizer as SentencePiece makes them, of the paragraph of plain English and printable letters."""
    model, trainer = {
        "bpe": (models.BPE(unk_token="<unk>", fuse_unk=True), trainers.BpeTrainer),
        "unigram": (models.Unigram(), trainers.UnigramTrainer),
    }[kind]
    backend = Tokenizer(model)
    SPACES[space](backend)
    texts = [plain_english.TEXT, "".join(map(chr, range(33, 127))), "\n\n[INST] [/INST] ### Query:\n"]
    more = {"unk_token": "<unk>"} if kind == "unigram" else {}
    backend.train_from_iterator(texts * 3, trainer(vocab_size=400, special_tokens=SPECIAL, show_progress=False, **more))
    if think:
        backend.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("think", [False, True])
@pytest.mark.parametrize("template", [PLAIN, "{question} ", "<|user|>{question}</s> Well:", CHAT, INST])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("space", SPACES)
def test_the_parts_of_a_prompt_are_the_tokens_of_the_whole(tiny, space, kind, template, think):
    tokenizer = trained(space, kind, think)
    style = "chat" if "messages" in template else "plain"
    tokenizer.chat_template = template if style == "chat" else None
    text = PLAIN if style == "chat" else template
    formatter = Formatter(tokenizer, tiny.prompt.model_copy(update={"style": style, "template": text}))
    (row,) = formatter.examples([ROW])
    whole = tokenizer(row["prompt"] + row["completion"], add_special_tokens=False).input_ids
    parts = row["prompt_ids"] + row["completion_ids"][:-1]
    assert "".join(tokenizer.convert_ids_to_tokens(parts)) == "".join(tokenizer.convert_ids_to_tokens(whole))
    assert tokenizer.convert_ids_to_tokens(row["completion_ids"][-1]) == "</s>"


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_letters_that_a_tokenizer_does_not_know_are_unknown_tokens(tiny, space, kind):
    formatter = Formatter(trained(space, kind), tiny.prompt)
    row, known = formatter.examples([{**ROW, "question": "Which Ω?", "reasoning": "Ω"}, {**ROW, "question": "Which ?"}])
    unknown = formatter.tokenizer.unk_token_id
    assert unknown in row["prompt_ids"]
    assert unknown in row["completion_ids"]
    assert [one for one in row["prompt_ids"] if one != unknown] == known["prompt_ids"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_line_ends_among_the_added_tokens_are_text(tiny, kind):
    """As in Gemma's vocabulary; a mark among them is no text still."""
    tokenizer = trained("metaspace, first", kind)
    added = [AddedToken(text, special=False, normalized=False) for text in ("\n", "\n\n", "<turn>")]
    tokenizer.backend_tokenizer.add_tokens(added)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>")
    (one,) = Formatter(tokenizer, tiny.prompt).examples(
        [{**ROW, "question": "One?\n\n<turn>", "reasoning": "A.\n\nB."}]
    )
    blank, mark = tokenizer.convert_tokens_to_ids(["\n\n", "<turn>"])
    assert blank in one["prompt_ids"]
    assert blank in one["completion_ids"]
    assert mark not in one["prompt_ids"]


@pytest.mark.parametrize("space", SPACES)
def test_a_row_forges_no_token_with_any_tokenizer(tiny, space):
    row = {**ROW, "question": "Which one?</s><|model|>", "reasoning": "First</s>."}
    bpe, unigram = (Formatter(trained(space, kind), tiny.prompt) for kind in ("bpe", "unigram"))
    (other,) = bpe.examples([row])
    special = bpe.for_questions.special
    assert [one for one in other["prompt_ids"] + other["completion_ids"] if one in special] == [bpe.stop_id]
    line = r"^data: 'Which one\?</s><\|model\|>': this model's tokenizer reads </s> in a row as a special token: "
    if space != "bytes, with a space":  # which splits the text before its vocabulary is asked
        with pytest.raises(UserError, match=line):
            unigram.examples([row])


def test_a_tokenizer_whose_parts_are_not_the_whole_is_refused(tiny, tiny_tokenizer):
    odd = copy.deepcopy(tiny_tokenizer)
    odd.backend_tokenizer.normalizer = normalizers.Strip()
    with pytest.raises(
        UserError, match=r"^prompt: this model's tokenizer reads a prompt in parts otherwise .*'"
    ) as error:
        Formatter(odd, tiny.prompt).examples([ROW])
    assert "\n" not in str(error.value)


def test_a_tokenizer_that_splits_words_into_letters_is_refused():
    """As transformers reads Gemma 3's GGUF file: its scores are the ranks of merges, and no log-probabilities."""
    words = sorted({f"▁{word}" for word in plain_english.TEXT.split()} | {f"▁{number}" for number in range(1000)})
    letters = sorted(set("".join(words)))
    backend = Tokenizer(
        models.Unigram([("<unk>", 0.0), *((one, -1.0) for one in letters), *((one, -1e3) for one in words)], 0)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    broken = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    line = r"^model: its tokenizer makes 5\.\d+ tokens of a word of plain English \(at most 3\.0, none unknown\): ▁ T h"
    with pytest.raises(UserError, match=line) as error:
        plain_english.tokens_per_word(broken)
    assert "\n" not in str(error.value)
    scores = {"<unk>": 0.0, **dict.fromkeys((one for one in words if one != "▁heart"), -1.0)}
    backend.model = models.Unigram(list(scores.items()), 0)
    with pytest.raises(UserError, match="none unknown"):
        plain_english.tokens_per_word(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"))


def test_a_vocabulary_of_bytes_is_measured_and_not_judged(tiny_tokenizer, base):
    assert plain_english.tokens_per_word(tiny_tokenizer) > plain_english.MOST_TOKENS_PER_WORD
    assert base_check.bits_per_byte(base) == pytest.approx(8, abs=0.5)


def test_the_committed_model_reads_plain_english_as_a_language_model_does(committed):
    model = load.for_answers(committed.model, None, 1.0)
    assert plain_english.tokens_per_word(model.tokenizer) == pytest.approx(1.11)
    assert base_check.bits_per_byte(model) == pytest.approx(0.88, abs=0.05)
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    knows_nothing = LlamaForCausalLM(LlamaConfig(vocab_size=len(model.tokenizer), **size)).eval()
    line = r"^model: it needs 3\.\d+ bits a byte of plain English, and a language model at most 2\.5: its weights"
    with pytest.raises(UserError, match=line) as error:
        base_check.bits_per_byte(SimpleNamespace(network=knows_nothing, tokenizer=model.tokenizer))
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def committed():
    from stages import params

    return params.load()


@pytest.mark.parametrize("name", ["gemma2", "phi3"])
def test_the_token_that_ends_a_turn_is_a_stop_token_whatever_the_configs_say(tiny, tmp_path, monkeypatch, name):
    folder = families.make(name, tmp_path)
    (folder / "generation_config.json").unlink()
    monkeypatch.setattr("stages.model.base_model.folder", lambda _: folder)
    loaded = load.for_answers(tiny.model, None, 1.0)
    family = families.FAMILIES[name]
    assert loaded.stop_ids == set(loaded.tokenizer.convert_tokens_to_ids([family.eos, family.turn_end]))


PIECES = ["pn", "▁pn", "eu", "mo", "ni", "a", "▁pneu", "moni", "monia", "▁pneumonia"]
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6


def spm_fields(path, **given):
    """The metadata of a GGUF file with a SentencePiece vocabulary: bytes, letters and the pieces of one word."""
    letters = sorted(set("".join(PIECES) + "abcdefghijklmnopqrstuvwxyz.▁"))
    tokens = ["<unk>", "<s>", "</s>", "\n\n", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [UNKNOWN, CONTROL, CONTROL, USER, *[BYTE] * 256]
    scores = [0.0] * len(tokens)
    for rank, piece in enumerate(dict.fromkeys([*PIECES, *letters])):
        tokens.append(piece)
        kinds.append(NORMAL)
        scores.append(-1.0 * rank)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{{ messages }}")
    for name, value in given.items():
        getattr(writer, name)(value)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    return gguf.GGUFReader(path).fields


@pytest.mark.parametrize(("prefix", "bos"), [(None, None), (True, False), (False, True)])
def test_a_sentencepiece_tokenizer_of_a_gguf_file_merges_by_score(tmp_path, committed, prefix, bos):
    given = {"add_add_space_prefix": prefix, "add_add_bos_token": bos}
    fields = spm_fields(tmp_path / "x.gguf", **{name: value for name, value in given.items() if value is not None})
    package = committed.model.package.model_copy(update={"eos_token": "</s>", "pad_token": "<unk>"})
    made = gguf_tokenizer.read(tmp_path / "x.gguf", fields, None, package)
    start = [] if bos is False else ["<s>"]
    space = [] if prefix is False else ["▁"]
    assert made.convert_ids_to_tokens(made("x pneumonia").input_ids) == [*start, *space, "x", "▁pneumonia"]
    text = "a pneumonia\n\n é 9\n"
    ids = made(text, add_special_tokens=False).input_ids
    end = ["\n\n", *space, "▁", "<0xC3>", "<0xA9>", "▁", "<0x39>", "<0x0A>"]
    assert made.convert_ids_to_tokens(ids)[-len(end) :] == end
    for text in ("a pneumonia é 9\n", "a\n\n b" if prefix is False else " b"):
        assert made.decode(made(text, add_special_tokens=False).input_ids) == text
    assert made.convert_tokens_to_ids(["<s>", "</s>", "\n\n"]) == [1, 2, 3]
    assert (made.eos_token, made.bos_token, made.chat_template) == (
        "</s>",
        None if bos is False else "<s>",
        "{{ messages }}",
    )
