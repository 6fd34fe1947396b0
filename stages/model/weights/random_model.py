"""A tiny Llama with random weights and a byte tokenizer: runs the pipeline in seconds."""

from pathlib import Path

from stages.model.weights import cache
from stages.params.schema import RandomModel

CHAT = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}


def folder(random: RandomModel) -> Path:
    """The folder of the saved model and tokenizer."""
    return cache.cached(["random", *random.model_dump().values()], lambda target: _make(random, target))


def _make(random: RandomModel, target: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens([*SPECIAL.values(), "<|im_start|>"])
    bos = SPECIAL["bos_token"]
    bytes_only.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, bytes_only.token_to_id(bos))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only, chat_template=CHAT, **SPECIAL)
    torch.manual_seed(random.seed)
    config = LlamaConfig(
        hidden_size=random.hidden_size,
        intermediate_size=2 * random.hidden_size,
        num_hidden_layers=random.num_hidden_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
