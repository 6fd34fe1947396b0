"""The tokenizer of a Hugging Face folder as the metadata of a GGUF file."""

import json
from pathlib import Path
from typing import Any

from stages.export import export_errors
from stages.export.llama_library import Model
from stages.model.plain_english import TEXT

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # gguf.TokenType
# llama.cpp knows how a text is cut into words by a name alone. These are byte-level and of the two families' models.
PRE_TOKENIZERS = (
    "gpt-2",
    "smollm",
    "llama-bpe",
    "qwen2",
    "deepseek-r1-qwen",
    "tekken",
    "deepseek-llm",
    "deepseek-coder",
)
# What they cut in different ways: digits, blanks, contractions, capitals, marks, scripts.
SAMPLE = (
    f"{TEXT}\n\n\nBP 118/72, urea 9.2 mmol/L; 3 33 333 3333 33333 x1234567y 2024-07-26\t\t1,000.50\n \n  \n"
    "\t a  b   c    d\r\n\r\nI've he'LL we'D IT'S don't'S 'Tis they're camelCase HTMLParser !!?? ...--- (a)[b]{c}<d>"
    " /* x */ \\n #tag @at £5 5€ 37°C ½ x² ≥ 90% naïve Ärzte Español ¿qué? Привет мир Ελληνικά עברית عربي नमस्ते 医学的な"
    " 你好,世界 한국어 ไทย 🚀🙂 👨‍👩‍👧 \u00a0nbsp\u3000wide   \n    end  "
)


def add(writer: Any, size: int, tokenizer: Any, stops: list[int], pre: str) -> None:
    """Add tokens, merges, special ids and chat template; tokens past the tokenizer's fill up to `size`."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "BPE":
        raise export_errors.PRE_TOKENIZER(kind=model["type"])
    names = {index: token for token, index in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    kinds = {index: CONTROL if one.special else USER_DEFINED for index, one in added.items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([names.get(index, f"[PAD{index}]") for index in range(size)])
    writer.add_token_types([kinds.get(index, NORMAL if index in names else UNUSED) for index in range(size)])
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    writer.add_token_merges(merges or ["<none> <none>"])  # llama.cpp wants one: no text is ever cut into this one's
    bos = tokenizer.bos_token_id
    writer.add_add_bos_token(bos is not None and tokenizer("a").input_ids[:1] == [bos])
    writer.add_add_space_prefix(False)
    # An answer ends at the first token, a turn and a message at the others: llama.cpp stops at all of them.
    first = tokenizer.eos_token_id if tokenizer.eos_token_id in stops else stops[0]
    others = [one for one in stops if one != first]
    ids = {
        "bos": bos, "eos": first, "eot": next(iter(others), None), "eom": next(iter(others[1:]), None),
        "padding": tokenizer.pad_token_id,
    }  # fmt: skip
    for name, index in ids.items():
        if index is not None:
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", index)
    writer.add_chat_template(tokenizer.chat_template)


def pre_tokenizer(path: Path, tokenizer: Any, stops: list[int]) -> str:
    """The name under which llama.cpp reads a sample as the tokenizer does, tried on a file with a vocabulary.

    Raises UserError where it is none of those known, and where llama.cpp would not end at a stop token.
    """
    wanted = tokenizer(SAMPLE, add_special_tokens=False).input_ids
    for name in PRE_TOKENIZERS:
        with Model(path, vocabulary_only=True, pre=name) as model:
            if model.tokens(SAMPLE) == wanted:
                if missed := [one for one in stops if not model.ends(one)]:
                    raise export_errors.STOP_TOKENS(tokens=tokenizer.convert_ids_to_tokens(missed))
                return name
    raise export_errors.PRE_TOKENIZER(kind=type(tokenizer).__name__)
