"""What the GPU presets do in a second, against the notebook's way on the same rows in the same run.

usage: python -m tests.benchmarks.gpu [--tokenizer FOLDER] [PART ...]       (make bench-gpu runs every part)

The model has the shape of DeepSeek-R1-Distill-Llama-8B and random weights: speed and memory are the same, its answers
mean nothing. Each part runs in a process of its own and prints one line of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks import rows

STEPS = 16
ROWS = 8 * STEPS
SKIPPED = 3
QUESTIONS, CAP = 512, 512
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def shape_8b(tokenizer: Path) -> Path:
    """The folder of the 8B's shape with random weights, made once (16 GB)."""
    from stages.common.models import folders

    def make(target: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

        loaded = AutoTokenizer.from_pretrained(tokenizer)
        config = LlamaConfig(
            hidden_size=4096,
            intermediate_size=14336,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            vocab_size=128256,
            max_position_embeddings=131072,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            bos_token_id=loaded.bos_token_id,
            eos_token_id=loaded.eos_token_id,
            pad_token_id=loaded.pad_token_id,
        )
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            AutoModelForCausalLM.from_config(config).save_pretrained(target)
        loaded.save_pretrained(target)

    return folders.cached(["benchmark", "8b"], make)


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


def generate(folder: Path, profile: bool = False, batch_size: int = 256, **changed: Any) -> dict[str, Any]:
    """The continuous engine on the same questions, 16-bit, with an uneven number of new tokens each."""
    import torch
    from tqdm import tqdm

    from stages.common import model, params
    from stages.common.engines import continuous, steps
    from stages.common.params.__main__ import merged

    values = merged("gpu-8b")
    values["model"].update(load_in_4bit=False, backend="transformers", **changed.get("model", {}))
    values["generation"].update(engine="continuous", batch_size=batch_size, chunk_size=100000)
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


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="1", UNSLOTH_DISABLE_STATISTICS="1", TOKENIZERS_PARALLELISM="false")
    tokenizer, part, *rest = sys.argv[1:]
    made = shape_8b(Path(tokenizer)) if part in ("shape", "train", "generate") else Path("/tmp/m8b")
    if part == "shape":
        print(made)
        sys.exit()
    options = json.loads(rest[-1]) if rest and rest[-1].startswith("{") else {}
    names = [one for one in rest if not one.startswith("{")]
    result = globals()[part](made, *names, **options)
    print(
        "RESULT",
        part,
        " ".join(rest),
        json.dumps({k: (round(v, 3) if isinstance(v, float) else v) for k, v in result.items()}),
        flush=True,
    )
