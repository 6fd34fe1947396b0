"""Ollama's Modelfile: the pipeline's prompt as a Go template, every stop token, the evaluated settings."""

import json
from pathlib import Path
from typing import Any

from stages.export import export_errors
from stages.params.schema import Params

LEAST, ROUND = 4096, 1024  # positions: Ollama's own default, and a round number of them
TURNS = ("\u27e8first\u27e9", "\u27e8answer\u27e9", "\u27e8second\u27e9")  # in no template


def text(params: Params, merged: Path, gguf: str) -> str:
    """The Modelfile of a GGUF file beside it, for the model of a merged folder."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer, settings = AutoTokenizer.from_pretrained(merged), params.generation
    stops = tokenizer.convert_ids_to_tokens(GenerationConfig.from_pretrained(merged).eos_token_id)
    whole = params.prompt.max_length + settings.max_new_tokens
    positions = min(max(LEAST, -(-whole // ROUND) * ROUND), AutoConfig.from_pretrained(merged).max_position_embeddings)
    values = {"num_ctx": positions, "num_predict": settings.max_new_tokens, "repeat_penalty": 1}
    values |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0, "seed": settings.seed}
    lines = [
        "# Research software, no medical advice. The base model's licence applies. From this folder:",
        f"#   ollama create medical-chatbot -f Modelfile-{gguf.rpartition('-')[2].removesuffix('.gguf')}",
        "# The model was tuned without a system message, and the template has none.",
        f"FROM ./{gguf}",
        f'TEMPLATE """{template(tokenizer)}"""',
        *(f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops),
        *(f"PARAMETER {name} {value}" for name, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def template(tokenizer: Any) -> str:
    """A tokenizer's chat template as a Go template, without the BOS token that llama.cpp adds itself.

    Raises UserError where a conversation is more than texts between its messages.
    """
    first, answer, second = TURNS
    turns = [{"role": role, "content": one} for role, one in zip(("user", "assistant", "user"), TURNS, strict=True)]
    one, three = (
        tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True) for given in (turns[:1], turns)
    )
    before, _, after = one.partition(first)
    to_answer, _, rest = three.removeprefix(before + first).partition(answer)
    to_second, found, _ = rest.partition(second)
    if not found or three != before + first + to_answer + answer + to_second + second + after:
        raise export_errors.TURNS(text=three)
    bos = tokenizer.bos_token
    if bos and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]:
        before = before.removeprefix(bos)
    # Written as quoted texts: braces, quotes and blanks in a prompt mean nothing to Go then.
    before, to_answer, to_second, after = (
        f"{{{{ {json.dumps(one, ensure_ascii=False)} }}}}" for one in (before, to_answer, to_second, after)
    )
    return (
        f'{before}{{{{ $later := false }}}}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}'
        f"{{{{ if $later }}}}{to_second}{{{{ end }}}}{{{{ $later = true }}}}{{{{ .Content }}}}"
        f'{{{{ else if eq .Role "assistant" }}}}{to_answer}{{{{ .Content }}}}{{{{ end }}}}{{{{ end }}}}{after}'
    )
