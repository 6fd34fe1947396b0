"""A Hugging Face folder as anybody runs it: AutoModelForCausalLM, its own `generate`, its own chat template."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.export.runtimes import STEPS, TOP
from stages.files import records
from stages.files.records import Row
from stages.params.schema import Params

PACKAGE = "transformers"


def answers(folder: Path, questions: list[str], params: Params, room: int) -> Iterator[tuple[int, Row]]:
    """Yield each question's index and its greedy answer, batch by batch; `room` is not needed here."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList

    torch.set_num_threads(params.model.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device).eval()
    eos = network.generation_config.eos_token_id
    stops = frozenset(eos if isinstance(eos, list) else [eos])
    prompts = [prompt(tokenizer, question) for question in questions]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for batch in records.batches(order, params.generation.batch_size):
        likely: list[Any] = []

        def keep(ids: Any, scores: Any, likely: list[Any] = likely) -> Any:
            if len(likely) < STEPS:
                likely.append(top(scores))
            return scores

        given = tokenizer.pad({"input_ids": [prompts[index] for index in batch]}, return_tensors="pt").to(device)
        with torch.inference_mode():
            out = network.generate(
                **given,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=params.generation.max_new_tokens,
                logits_processor=LogitsProcessorList([keep]),
            )
        for row, index in enumerate(batch):
            ids = out[row, given["input_ids"].shape[1] :].tolist()
            end = next((place for place, token in enumerate(ids) if token in stops), None)
            ids = ids[:end]
            yield (
                index,
                {
                    "prompt_ids": prompts[index],
                    "text": tokenizer.decode(ids, skip_special_tokens=True),
                    "finish_reason": "length" if end is None else "stop",
                    "token_ids": ids[:STEPS],
                    "likely": [step[row] for step in likely],
                },
            )


def prompt(tokenizer: Any, question: str) -> list[int]:
    """The token ids of one question in the folder's own chat template."""
    turns = [{"role": "user", "content": question}]
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"])


def top(logits: Any) -> list[list[tuple[int, float]]]:
    """The likeliest tokens of each row of logits, with their log-probabilities."""
    found = logits.float().log_softmax(-1).topk(min(TOP, logits.shape[-1]))
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [[(token, round(value, 4)) for token, value in zip(*row, strict=True)] for row in pairs]
