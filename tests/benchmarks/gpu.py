"""What the GPU presets do in a second, against the notebook's way on the same rows in the same run.

usage: python -m tests.benchmarks.gpu          (make bench-gpu: every part)
       python -m tests.benchmarks.gpu TOKENIZER_FOLDER [PART ARGUMENT ...]

The model has the shape of DeepSeek-R1-Distill-Llama-8B and random weights: speed and memory are the same, its answers
mean nothing. Each part runs in a process of its own. Bounds: the arithmetic is 2 operations a weight forward and 2
back to the activations, 2 more where layers are computed again; a step of generation reads the weights, and the cache.
"""

import hashlib
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from tests.benchmarks import rows, shape, table

STEPS = 16
ROWS = 8 * STEPS
SKIPPED = 3
QUESTIONS, CAP = 512, 512
MODULE = "tests.benchmarks.gpu"
GFLOP, GFLOP_CHECKPOINTED = 32e9, 48e9  # a token
# What each computes for a token: with its layers computed again in the backward pass, or not.
PRESETS = {"gpu-8b": GFLOP_CHECKPOINTED, "gpu-8b-24gb": GFLOP_CHECKPOINTED, "h100-8b": GFLOP}
WEIGHTS, CACHE, CONTEXT = 16.06e9, 131_072, 290  # bytes, bytes a token, tokens of a question and half its answer
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock:
    """Seconds, tokens and losses of the optimizer steps of a trainer, the first ones left out."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tokens: list[int] = []

    def watch(self, trainer: Any) -> None:
        """Note the time after each step, and the real tokens (no padding) that went into it."""
        import torch
        from transformers import TrainerCallback

        clock = self

        class Ticker(TrainerCallback):
            def on_step_begin(self, *_: Any, **__: Any) -> None:
                clock.tokens.append(0)

            def on_step_end(self, *_: Any, **__: Any) -> None:
                torch.cuda.synchronize()
                clock.times.append(time.perf_counter())

        inner = trainer.training_step

        def training_step(model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            mask = inputs.get("attention_mask")
            clock.tokens[-1] += int(inputs["input_ids"].numel() if mask is None else mask.sum())
            return inner(model, inputs, *rest, **named)

        trainer.training_step = training_step
        trainer.add_callback(Ticker())

    def result(self, trainer: Any) -> dict[str, Any]:
        """Tokens a second, the losses, and a hash of the adapter."""
        import torch

        seconds = self.times[-1] - self.times[SKIPPED - 1]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        adapter = hashlib.sha256()
        for _, weight in sorted(trainer.model.named_parameters()):
            if weight.requires_grad:
                adapter.update(weight.data.float().cpu().numpy().tobytes())
        return {
            "adapter": adapter.hexdigest(),
            "tokens_per_second": sum(self.tokens[SKIPPED:]) / seconds,
            "reserved_gb": torch.cuda.max_memory_reserved() / 2**30,
            "tokens": sum(self.tokens),
            "losses": losses,
        }


def train_notebook(folder: Path) -> dict[str, Any]:
    """The notebooks' training run: Unsloth, 4-bit, batches of 2, 4 of them a step."""
    from unsloth import FastLanguageModel  # isort: skip - it patches the others
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    loaded, tokenizer = FastLanguageModel.from_pretrained(str(folder), max_seq_length=2048, load_in_4bit=True)
    tuned = FastLanguageModel.get_peft_model(
        loaded,
        r=16,
        target_modules=TARGETS,
        lora_alpha=16,
        lora_dropout=0,
        bias="none",
        use_gradient_checkpointing="unsloth",
        random_state=3407,
    )
    trainer = SFTTrainer(
        model=tuned,
        args=SFTConfig(
            output_dir="/tmp/notebook",
            per_device_train_batch_size=2,
            gradient_accumulation_steps=4,
            max_steps=STEPS,
            learning_rate=2e-4,
            bf16=True,
            logging_steps=1,
            optim="adamw_8bit",
            report_to="none",
            save_strategy="no",
            max_length=2048,
            dataset_text_field="text",
            seed=3407,
            warmup_steps=5,
            weight_decay=0.01,
        ),
        train_dataset=Dataset.from_dict({"text": rows.texts(ROWS)}),
        processing_class=tokenizer,
    )
    clock = Clock()
    clock.watch(trainer)
    trainer.train()
    return clock.result(trainer)


def train(
    folder: Path, preset: str, full_determinism: bool = True, profile: bool = False, **changed: Any
) -> dict[str, Any]:
    """A preset's training, through the project's own code."""
    from stages import finetune_lora, params
    from stages.model import base_model, load
    from stages.params.__main__ import merged

    values = merged(preset)
    fixed = {"max_steps": STEPS, "logging_steps": 1, "full_determinism": full_determinism}
    values["training"].update(fixed, **changed.get("training", {}))
    values["model"].update(changed.get("model", {}))
    checked = params.check(values)
    base_model.folder = lambda _: folder
    tuned = load.for_training(
        checked.model, checked.lora, checked.training.seed, checked.training.gradient_checkpointing
    )

    from datasets import Dataset

    from stages.train.trainer import CompletionTrainer

    tokenizer = base_model.tokenizer(checked.model)
    ids = [tokenizer(text).input_ids[:2048] for text in rows.texts(ROWS)]
    trainer = CompletionTrainer(
        model=tuned,
        args=finetune_lora.config(checked),
        train_dataset=Dataset.from_list([{"input_ids": one, "completion_mask": [1] * len(one)} for one in ids]),
        processing_class=tokenizer,
    )
    clock = Clock()
    clock.watch(trainer)
    if profile:
        from torch.profiler import ProfilerActivity, schedule
        from torch.profiler import profile as record

        with record(
            activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU], schedule=schedule(wait=4, warmup=1, active=2)
        ) as seen:
            from transformers import TrainerCallback

            class Stepper(TrainerCallback):
                def on_step_end(self, *_: Any, **__: Any) -> None:
                    seen.step()

            trainer.add_callback(Stepper())
            trainer.train()
        print(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=32, max_name_column_width=70))
    else:
        trainer.train()
    return clock.result(trainer)


def generate_notebook(folder: Path) -> dict[str, Any]:
    """The notebooks' loop: Unsloth, 4-bit, a question at a time; 128 tokens for each of four, after one to warm up."""
    from unsloth import FastLanguageModel

    loaded, tokenizer = FastLanguageModel.from_pretrained(str(folder), max_seq_length=2048, load_in_4bit=True)
    FastLanguageModel.for_inference(loaded)
    asked, _ = rows.questions(QUESTIONS, CAP)
    for index, text in enumerate(asked[:5]):
        if index == 1:
            start = time.perf_counter()
        loaded.generate(
            **tokenizer(text, return_tensors="pt").to("cuda"), max_new_tokens=128, min_new_tokens=128, do_sample=False
        )
    import torch

    torch.cuda.synchronize()
    speed = 4 * 128 / (time.perf_counter() - start)
    reserved = torch.cuda.max_memory_reserved() / 2**30
    return {"tokens_per_second": speed, "batch_size": 1, "reserved_gb": reserved}


def generate(
    folder: Path, preset: str, count: int = QUESTIONS, profile: bool = False, **changed: Any
) -> dict[str, Any]:
    """A preset's engine on the first `count` questions, with an uneven number of new tokens each.

    Its cache has the room that the preset's own `max_new_tokens` ask for.
    """
    import torch

    from stages import params
    from stages.generate.engines import continuous_batching, steps
    from stages.model import base_model, load
    from stages.params.__main__ import merged

    values = merged(preset)
    values["model"].update(backend="transformers", **changed.get("model", {}))
    values["generation"].update(chunk_size=QUESTIONS, **changed.get("generation", {}))
    checked = params.check(values)
    generation = checked.generation
    base_model.folder = lambda _: folder
    model = load.for_answers(checked.model, None, 1.0)
    model.stop_ids = frozenset()  # random weights stop anywhere: the limits decide
    asked, limits = (one[:count] for one in rows.questions(QUESTIONS, CAP))
    prompts = model.tokenizer(asked).input_ids
    longest = max(map(len, prompts)) + generation.max_new_tokens
    warm = 0.0
    capture, slots = steps.Steps._capture, steps.Slots

    def timed(self: Any, size: int) -> Any:
        nonlocal warm
        torch.cuda.synchronize()
        start = time.perf_counter()
        graph = capture(self, size)
        torch.cuda.synchronize()
        warm += time.perf_counter() - start
        return graph

    steps.Steps._capture = timed
    list(continuous_batching.generate(model, prompts[:1], generation, [16], [0]))
    torch.cuda.synchronize()
    if profile:
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as record

        size = generation.batch_size
        with record(activities=[ProfilerActivity.CUDA]) as seen:
            list(continuous_batching.generate(model, prompts[:size], generation, [40] * size, list(range(size))))
        print(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=20, max_name_column_width=70))
        return {}
    model.cache.clear()
    steps.Slots = lambda whole, size, _: slots(whole, size, longest)
    warm, start, tokens = 0.0, time.perf_counter(), 0
    for piece in continuous_batching.generate(model, prompts, generation, limits, list(range(len(prompts)))):
        tokens += len(piece.token_ids)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start - warm
    assert tokens == sum(limits)
    return {
        "tokens_per_second": tokens / seconds,
        "warm_up_seconds": warm,
        "tokens": tokens,
        "seconds": seconds,
        "batch_size": generation.batch_size,
        "reserved_gb": torch.cuda.max_memory_reserved() / 2**30,
    }


def agreement(folder: Path, questions: int = 24, new: int = 160) -> dict[str, Any]:
    """Answers of the engine and of `generate`, one at a time, by the same 16-bit SmolLM2, token by token.

    Where they part, it is a near tie if the two tokens' logits are at most four steps of bfloat16 apart. The engine
    answers twice: whether it says the same again.
    """
    import torch

    from stages import params
    from stages.data.prompts import Formatter
    from stages.data.sources import builtin
    from stages.generate import generate as answer
    from stages.model import load
    from stages.params.__main__ import merged

    values = merged("cpu")
    values["generation"].update(max_new_tokens=new, batch_size=questions, chunk_size=questions)
    checked = params.check(values)
    model = load.for_answers(checked.model, None, 1.0)
    asked = [{"id": "", "set": "", "question": row["question"]} for row in islice(builtin.rows(7), questions)]
    prompts = [row["prompt_ids"] for row in Formatter(model.tokenizer, checked.prompt).examples(asked)]
    found = []
    for engine, size in (("transformers", 1), ("continuous", questions), ("continuous", questions)):
        generation = checked.generation.model_copy(update={"engine": engine, "batch_size": size})
        model.cache.clear()
        found.append({piece.index: piece.token_ids for piece in answer(model, prompts, generation)})
    same = ties = tokens = 0
    for index, prompt in enumerate(prompts):
        one, other = found[0][index], found[1][index]
        at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        tokens += len(one) if at is None else at
        if at is None:
            same += 1
            continue
        with torch.inference_mode():
            logits = model.network(torch.tensor([prompt + one[:at]], device="cuda")).logits[0, -1].float()
        step = 2.0 ** (torch.floor(torch.log2(logits.max().abs())) - 7)
        ties += abs(logits[one[at]] - logits[other[at]]).item() <= 4 * step.item()
    return {
        "questions": questions,
        "identical": same,
        "near_ties": ties,
        "others": questions - same - ties,
        "the_same_again": found[1] == found[2],
        "tokens": tokens,
    }


def weights(tokenizer: Path) -> dict[str, Any]:
    """Make the model, in a process of its own: it is made on the card, whose peak memory the other parts report."""
    return {"folder": str(shape.shape_8b(tokenizer))}


def card(_: Path) -> dict[str, Any]:
    """What the card does at most: bf16 products of 8,192 squared, and reading memory."""
    import torch

    def seconds(work: Any, count: int) -> float:
        for _ in range(3):
            work()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    big = torch.empty(2**32, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(big)
    return {
        "flops": 2 * 8192**3 / seconds(lambda: a @ b, 10),
        "bytes_per_second": 2 * 2**32 / seconds(lambda: other.copy_(big), 5),
    }


def main(tokenizer: str) -> None:
    """Run every part, print the tables, write the JSON."""
    results: dict[str, Any] = {}

    def run(name: str, *part: str, **options: Any) -> dict[str, Any]:
        results[name] = table.part(MODULE, tokenizer, *(part or [name]), json.dumps(options))
        table.write(results)  # what was measured is kept, whatever the next part does
        return results[name]

    table.part(MODULE, tokenizer, "weights")
    limits, notebook, loop = (run(name) for name in ("card", "train_notebook", "generate_notebook"))
    base, slow = notebook["tokens_per_second"], loop["tokens_per_second"]
    lines = [training_line("notebook", notebook, base, GFLOP_CHECKPOINTED, limits)]
    for preset, work in PRESETS.items():
        lines.append(training_line(preset, run(preset, "train", preset), base, work, limits))
    table.show(lines)

    lines = [answers_line("notebook", loop, slow, 4, limits)]
    for preset, count, bits in (("h100-8b", QUESTIONS, 16), ("gpu-8b-24gb", 128, 16), ("gpu-8b", 128, 4)):
        found = run(f"{preset} answers", "generate", preset, count=count)
        lines.append(answers_line(preset, found, slow, bits, limits))
    table.show(lines)
    print(run("agreement"))

    lines = []
    for preset in ("gpu-8b", "h100-8b"):
        first, again = results[preset], run(f"{preset} again", "train", preset)
        free = [run(f"{preset} without {number}", "train", preset, full_determinism=False) for number in (1, 2)]
        speeds = [sum(one["tokens_per_second"] for one in pair) / 2 for pair in ((first, again), free)]
        same, other = (one["adapter"] == two["adapter"] for one, two in ((first, again), free))
        entry = {"full_determinism": preset, "same bytes with it": same, "without": other}
        lines.append({**entry, "tokens/s with it": speeds[0], "tokens/s without": speeds[1]})
    table.show(lines)
    print(f"written to {table.write(results)}")


def training_line(
    name: str, result: dict[str, Any], base: float, work: float, limits: dict[str, float]
) -> dict[str, Any]:
    """A row of the training table; `work` is in floating-point operations a token."""
    speed = result["tokens_per_second"]
    share = speed * work / limits["flops"]
    found = {"tokens/s": speed, "ratio": speed / base, "of the bound": share, "GB": result["reserved_gb"]}
    return {"training": name, **found, "last loss": result["losses"][-1]}


def answers_line(name: str, result: dict[str, Any], base: float, bits: int, limits: dict[str, float]) -> dict[str, Any]:
    """A row of the generation table; each step reads weights of so many bits, and the cache."""
    speed, size = result["tokens_per_second"], result["batch_size"]
    share = speed * (WEIGHTS * bits / 16 + size * CONTEXT * CACHE) / size / limits["bytes_per_second"]
    found = {"tokens/s": speed, "ratio": speed / base, "of the bound": share, "GB": result["reserved_gb"]}
    return {"generation": name, "at a time": size, **found}


if __name__ == "__main__":
    os.environ.update(UNSLOTH_DISABLE_STATISTICS="1", TOKENIZERS_PARALLELISM="false")
    arguments = sys.argv[1:]
    if len(arguments) < 2:
        from stages import params
        from stages.model import base_model

        main(arguments[0] if arguments else str(base_model.folder(params.load().model)))
    else:
        tokenizer, name, *rest = arguments
        options = json.loads(rest.pop()) if rest and rest[-1].startswith("{") else {}
        made = Path(tokenizer) if name in ("weights", "card", "agreement") else shape.shape_8b(Path(tokenizer))
        print(table.RESULT + json.dumps(globals()[name](made, *rest, **options)), flush=True)
