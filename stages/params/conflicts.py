"""Values of params.yaml that are good one by one and cannot go together."""

import math
from collections import Counter
from collections.abc import Iterator

from stages.params.schema import Params

CHAT_ARGUMENTS = {"add_generation_prompt", "continue_final_message", "tokenize", "chat_template", "messages"}
RESERVED = ("train", "heldout", "free", "dataset")


def conflicts(params: Params) -> Iterator[str]:
    """A line for each conflict: the key, its value, what is in the way and what to do."""
    names = Counter(one.name for one in params.evaluation_sets)
    if taken := sorted(name for name, count in names.items() if count > 1 or name in RESERVED):
        yield f"evaluation_sets: the names {taken} are given twice or reserved: rename them"
    prompt = params.prompt
    if prompt.chat_template_kwargs and prompt.style == "plain":
        yield "prompt.chat_template_kwargs: the plain style has no chat template: set {}, or prompt.style to chat"
    if fixed := sorted(CHAT_ARGUMENTS & prompt.chat_template_kwargs.keys()):
        yield f"prompt.chat_template_kwargs: {', '.join(fixed)}: decided by the pipeline: leave it out"
    yield from _of_the_model(params)
    yield from _of_the_schedule(params)


def _of_the_model(params: Params) -> Iterator[str]:
    model, layers = params.model, params.lora.layers_to_transform
    if model.backend == "unsloth" and model.dtype == "float32":
        yield "model.dtype: 'float32': unsloth computes in bfloat16 or float16: choose one, or backend transformers"
    elif model.load_in_4bit and model.dtype == "float32":
        yield (
            "model.dtype: 'float32': 4-bit weights are computed with in bfloat16 or float16: choose one, or set "
            "model.load_in_4bit to false"
        )
    if model.backend == "unsloth" and model.use_liger_kernel:
        yield "model.use_liger_kernel: true: unsloth brings its own kernels: set it to false, or backend transformers"
    if model.backend == "unsloth" and not (params.training.padding_free or params.training.packing):
        yield "training.padding_free: false: rows go end to end into unsloth's layers: set it to true"
    generation = params.generation
    budget = generation.max_thinking_tokens
    if budget is not None and budget >= generation.max_new_tokens:
        yield (
            f"generation.max_thinking_tokens: {budget}: the answer follows the thinking within "
            f"generation.max_new_tokens ({generation.max_new_tokens}): lower the first, or raise the second"
        )
    if generation.samples > 1 and generation.temperature == 0:
        yield (
            f"generation.samples: {generation.samples}: at temperature 0 all samples are the same answer: set 1, or "
            "generation.temperature above 0"
        )
    if generation.engine == "continuous" and generation.batch_size > generation.chunk_size:
        yield (
            f"generation.batch_size: {generation.batch_size}: no more than generation.chunk_size "
            f"({generation.chunk_size}) are answered at a time: raise that, or lower this"
        )
    if model.source == "random" and layers and max(layers) >= model.random.num_hidden_layers:
        yield (
            f"lora.layers_to_transform: {max(layers)}: the random model has layers 0 to "
            f"{model.random.num_hidden_layers - 1}: name some of them, or set null for all"
        )


def _of_the_schedule(params: Params) -> Iterator[str]:
    training, steps = params.training, most_steps(params)
    if training.eval_strategy == "steps" and training.eval_steps > steps:
        yield (
            f"training.eval_steps: {training.eval_steps}: at most {steps} steps are made, so the held-out loss would "
            f"never be measured: lower it to {steps} or less"
        )
    if training.lr_scheduler_type == "constant" and training.warmup_steps:
        yield (
            f"training.warmup_steps: {training.warmup_steps}: the constant schedule has no warmup: set 0, or "
            "training.lr_scheduler_type to constant_with_warmup"
        )


def most_steps(params: Params) -> int:
    """The optimizer steps of a run in which no training row is dropped."""
    training = params.training
    if training.max_steps > 0:
        return training.max_steps
    batches = math.ceil(params.dataset.train_rows / training.per_device_train_batch_size)
    return math.ceil(training.num_train_epochs * math.ceil(batches / training.gradient_accumulation_steps))
