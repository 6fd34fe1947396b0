"""The tokenizer of a GGUF file."""

from pathlib import Path
from typing import Any

from stages.params.schema import PackageModel

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # gguf.TokenType

NAMES = (
    "model", "tokens", "scores", "token_type", "unknown_token_id", "bos_token_id", "add_bos_token", "add_space_prefix",
)  # fmt: skip


def read(path: Path, fields: dict[str, Any], config: Any, package: PackageModel) -> Any:
    """The tokenizer, with its BOS token where the file says that one is added, and the end tokens of params."""
    from transformers import AutoTokenizer

    given = {name: fields[key].contents() for name in NAMES if (key := f"tokenizer.ggml.{name}") in fields}
    sentencepiece = given.get("model") == "llama"
    if sentencepiece:
        tokenizer = _sentencepiece(given)
        if "tokenizer.chat_template" in fields:
            tokenizer.chat_template = fields["tokenizer.chat_template"].contents()
    else:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, config=config)
    # from_pretrained's own eos token for such a file is <|im_start|>: trained with it, a model never stops.
    tokenizer.eos_token, tokenizer.pad_token = package.eos_token, package.pad_token
    if given.get("add_bos_token", sentencepiece):
        tokenizer.bos_token = given["tokens"][given["bos_token_id"]]
        tokenizer.add_bos_token = True
    return tokenizer


def _sentencepiece(given: dict[str, Any]) -> Any:
    """Merges by score, bytes for unknown characters, as llama.cpp reads such a file.

    transformers makes a Unigram of Gemma's, which splits words into letters, and takes minutes for other merges.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import generate_merges

    tokens, kinds, prefix = given["tokens"], given["token_type"], given.get("add_space_prefix", True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    added = {token: kind for token, kind in zip(tokens, kinds, strict=True) if kind in (UNKNOWN, CONTROL, USER_DEFINED)}
    merges = generate_merges(vocabulary, dict(zip(tokens, given["scores"], strict=True)), added)
    unknown = tokens[given.get("unknown_token_id", 0)]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    spaces = [*([normalizers.Prepend("▁")] if prefix else []), normalizers.Replace(" ", "▁")]
    backend.normalizer = normalizers.Sequence(spaces)
    strip = [decoders.Strip(" ", left=1)] if prefix else []
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    backend.decoder = decoders.Sequence(steps)
    backend.add_special_tokens([AddedToken(one, normalized=False) for one in added if added[one] != USER_DEFINED])
    backend.add_tokens([AddedToken(one, normalized=False) for one in added if added[one] == USER_DEFINED])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown)
