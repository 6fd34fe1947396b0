"""What the GPU presets do in a second, against the notebook's way on the same rows in the same run.

usage: python -m tests.benchmarks.gpu          (make bench-gpu: every part)
       python -m tests.benchmarks.gpu TOKENIZER_FOLDER [PART ARGUMENT ...]

The model has the shape of DeepSeek-R1-Distill-Llama-8B and random weights: speed and memory are the same, its answers
mean nothing. Each part runs in a process of its own. Bounds: the arithmetic is 2 operations a weight forward and 2
back to the activations, 2 more where layers are computed again; a step of generation reads the weights, and the cache.
"""

import json
import os
import sys
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks import rows, shape, table

STEPS = 16
ROWS = 8 * STEPS
SKIPPED = 3
QUESTIONS, CAP = 512, 512
MODULE = "tests.benchmarks.gpu"
RESULTS = Path(__file__).with_suffix(".json")
GFLOP, GFLOP_CHECKPOINTED = 32e9, 48e9  # a token
BATCH = 256
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
        """Tokens a second and the losses."""
        import torch

        seconds = self.times[-1] - self.times[SKIPPED - 1]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return {
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


def train(folder: Path, preset: str, profile: bool = False, **changed: Any) -> dict[str, Any]:
    """A preset's training, through the project's own code."""
    from stages import finetune_lora
    from stages.common import model, params
    from stages.common.params.__main__ import merged

    values = merged(preset)
    values["training"].update(max_steps=STEPS, logging_steps=1, **changed.get("training", {}))
    values["model"].update(changed.get("model", {}))
    checked = params.check(values)
    model.folder = lambda _: folder
    tuned = model.for_training(
        checked.model, checked.lora, checked.training.seed, checked.training.gradient_checkpointing
    )

    from datasets import Dataset

    from stages.common.trainer import CompletionTrainer

    tokenizer = model.tokenizer(checked.model)
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
    """The notebooks' loop: Unsloth, 4-bit, a question at a time; eight of them, 128 tokens each."""
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
    return {"tokens_per_second": 4 * 128 / (time.perf_counter() - start)}


def generate(folder: Path, profile: bool = False, batch_size: int = BATCH, **changed: Any) -> dict[str, Any]:
    """The continuous engine on the same questions, 16-bit, with an uneven number of new tokens each."""
    import torch
    from tqdm import tqdm

    from stages.common import model, params
    from stages.common.engines import continuous, steps
    from stages.common.params.__main__ import merged

    values = merged("h100-8b")
    values["model"].update(changed.get("model", {}))
    values["generation"].update(batch_size=batch_size, chunk_size=QUESTIONS)
    checked = params.check(values)
    model.folder = lambda _: folder
    answering = model.for_answers(checked.model, None, 1.0)
    tokenizer = model.tokenizer(checked.model)
    asked, limits = rows.questions(QUESTIONS, CAP)
    prompts = tokenizer(asked).input_ids
    warm = 0.0
    capture = steps.Steps._capture

    def timed(self: Any, count: int) -> Any:
        nonlocal warm
        torch.cuda.synchronize()
        start = time.perf_counter()
        graph = capture(self, count)
        torch.cuda.synchronize()
        warm += time.perf_counter() - start
        return graph

    steps.Steps._capture = timed
    never = SimpleNamespace(eos_token_id=-1)  # random weights stop anywhere: the limits decide
    with tqdm(total=QUESTIONS, disable=True) as progress:
        list(continuous.generate(answering, never, prompts[:1], checked.generation, progress, [16]))
        torch.cuda.synchronize()
        warm, start, tokens = 0.0, time.perf_counter(), 0
        if profile:
            from torch.profiler import ProfilerActivity
            from torch.profiler import profile as record

            with record(activities=[ProfilerActivity.CUDA]) as seen:
                list(
                    continuous.generate(
                        answering, never, prompts[:batch_size], checked.generation, progress, [40] * batch_size
                    )
                )
            print(seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=20, max_name_column_width=70))
            return {}
        for _, answers in continuous.generate(answering, never, prompts, checked.generation, progress, limits):
            tokens += sum(map(len, answers))
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start - warm
    assert tokens == sum(limits)
    return {
        "tokens_per_second": tokens / seconds,
        "warm_up_seconds": warm,
        "tokens": tokens,
        "seconds": seconds,
        "reserved_gb": torch.cuda.max_memory_reserved() / 2**30,
    }


def agreement(folder: Path, questions: int = 24, new: int = 160) -> dict[str, Any]:
    """Answers of the engine and of `generate`, one at a time, by the same 16-bit SmolLM2, token by token.

    Where they part, it is a near tie if the two tokens' logits are at most four steps of bfloat16 apart.
    """
    import torch
    from tqdm import tqdm

    from stages.common import inference, model, params
    from stages.common.params.__main__ import merged
    from stages.common.prompts import Formatter
    from stages.common.sources import builtin

    values = merged("cpu")
    values["generation"].update(max_new_tokens=new, batch_size=questions, chunk_size=questions)
    checked = params.check(values)
    answering, tokenizer = model.for_answers(checked.model, None, 1.0), model.tokenizer(checked.model)
    asked = [{"id": "", "set": "", "question": row["Question"]} for row in islice(builtin.rows(7), questions)]
    prompts = [row["prompt_ids"] for row in Formatter(tokenizer, checked.prompt).examples(asked)]
    found = []
    for engine, size in (("transformers", 1), ("continuous", questions)):
        generation = checked.generation.model_copy(update={"engine": engine, "batch_size": size})
        with tqdm(total=questions) as progress:
            pairs = inference.engine(generation)(answering, tokenizer, prompts, generation, progress)
            found.append({index: ids for order, answers in pairs for index, ids in zip(order, answers, strict=True)})
    same = ties = tokens = 0
    for index, prompt in enumerate(prompts):
        one, other = found[0][index], found[1][index]
        at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        tokens += len(one) if at is None else at
        if at is None:
            same += 1
            continue
        with torch.inference_mode():
            logits = answering(torch.tensor([prompt + one[:at]], device="cuda")).logits[0, -1].float()
        step = 2.0 ** (torch.floor(torch.log2(logits.max().abs())) - 7)
        ties += abs(logits[one[at]] - logits[other[at]]).item() <= 4 * step.item()
    return {
        "questions": questions,
        "identical": same,
        "near_ties": ties,
        "others": questions - same - ties,
        "tokens": tokens,
    }


def card() -> dict[str, Any]:
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
    results = {name: table.part(MODULE, tokenizer, name) for name in ("card", "train_notebook", "generate_notebook")}
    base = results["train_notebook"]["tokens_per_second"]
    lines = [line("notebook", results["train_notebook"], base, GFLOP_CHECKPOINTED, results["card"])]
    for preset in ("gpu-8b", "gpu-8b-24gb", "h100-8b"):
        results[preset] = table.part(MODULE, tokenizer, "train", preset)
        work = GFLOP if preset == "h100-8b" else GFLOP_CHECKPOINTED
        lines.append(line(preset, results[preset], base, work, results["card"]))
    table.show(lines)
    results["generate"] = table.part(MODULE, tokenizer, "generate")
    slow, fast = (results[name]["tokens_per_second"] for name in ("generate_notebook", "generate"))
    bound = BATCH * results["card"]["bytes_per_second"] / (WEIGHTS + BATCH * CONTEXT * CACHE)
    table.show(
        [
            {"generation": "notebook, one at a time", "tokens/s": slow, "ratio": 1.0, "of the bound": slow / bound},
            {
                "generation": f"here, {BATCH} at a time",
                "tokens/s": fast,
                "ratio": fast / slow,
                "of the bound": fast / bound,
            },
        ]
    )
    results["agreement"] = table.part(MODULE, tokenizer, "agreement")
    print(results["agreement"])
    table.write(RESULTS, results)


def line(name: str, result: dict[str, Any], base: float, work: float, limits: dict[str, float]) -> dict[str, Any]:
    """A row of the training table; `work` is in floating-point operations a token."""
    speed = result["tokens_per_second"]
    share = speed * work / limits["flops"]
    last = result["losses"][-1]
    return {
        "training": name,
        "tokens/s": speed,
        "ratio": speed / base,
        "of the bound": share,
        "GB": result["reserved_gb"],
        "last loss": last,
    }


if __name__ == "__main__":
    os.environ.update(UNSLOTH_DISABLE_STATISTICS="1", TOKENIZERS_PARALLELISM="false")
    arguments = sys.argv[1:]
    if len(arguments) < 2:
        from stages.common import model, params

        main(arguments[0] if arguments else str(model.folder(params.load().model)))
    else:
        tokenizer, name, *rest = arguments
        options = json.loads(rest.pop()) if rest and rest[-1].startswith("{") else {}
        if name == "shape_8b":
            print(shape.shape_8b(Path(tokenizer)))
            sys.exit()
        made = Path(tokenizer) if name in ("card", "agreement") else shape.shape_8b(Path(tokenizer))
        print(
            table.RESULT + json.dumps(globals()[name](made, *rest, **options) if name != "card" else card()), flush=True
        )
