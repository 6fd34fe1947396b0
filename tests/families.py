"""Tiny random models of the families that people fine-tune: each with its head, template, tokens and stop tokens."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SIZE, "num_key_value_heads": 2}

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
GRANITE = (
    "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
COHERE = (
    "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ '<|CHATBOT_TOKEN|>' if m.role == 'assistant' else '<|USER_TOKEN|>' }}{{ m.content }}<|END_OF_TURN_TOKEN|>"
    "{% endfor %}{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """What makes a family: the type and the values of its config, its tokens, its template."""

    model_type: str
    config: dict[str, Any]
    eos: str  # the tokenizer's
    turn_end: str  # what ends the assistant's turn in its template; the tokenizer's eos where it has none
    bos: str | None = None  # put before every text where it is another token than eos
    pad: str | None = None
    stops: tuple[str, ...] = ()  # generation_config's eos_token_id, where that is more than the tokenizer's
    others: tuple[str, ...] = ()  # more special tokens
    chat: str | None = None
    targets: tuple[str, ...] = ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    continuous: bool = True  # whether the engine `continuous` can run it
    packs: bool = True  # whether rows can be laid end to end
    added: tuple[str, ...] = field(default=())  # added tokens that are not special


FAMILIES: dict[str, Family] = {
    "llama": Family(
        "llama", {**GROUPED, "rope_theta": 5e5}, "<|eot_id|>", "<|eot_id|>", bos="<|begin_of_text|>",
        pad="<|finetune_right_pad_id|>", stops=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        others=("<|start_header_id|>", "<|end_header_id|>"), chat=LLAMA,
    ),
    "qwen2": Family(
        "qwen2", {**GROUPED, "tie_word_embeddings": True}, "<|im_end|>", "<|im_end|>", pad="<|endoftext|>",
        stops=("<|im_end|>", "<|endoftext|>"), others=("<|im_start|>",), chat=CHATML,
    ),
    "qwen3": Family(
        "qwen3", {**GROUPED, "head_dim": 16, "tie_word_embeddings": True}, "<|im_end|>", "<|im_end|>",
        pad="<|endoftext|>", stops=("<|im_end|>", "<|endoftext|>"), others=("<|im_start|>",), chat=CHATML,
        added=("<think>", "</think>"),
    ),
    "gemma2": Family(
        "gemma2", {
            **GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32,
            "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        }, "<eos>", "<end_of_turn>", bos="<bos>", pad="<pad>", stops=("<eos>", "<end_of_turn>"),
        others=("<start_of_turn>",), chat=GEMMA, continuous=False,
    ),
    "gemma3": Family(
        "gemma3_text", {
            **GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 32,
            "layer_types": ["sliding_attention", "full_attention"],
        }, "<eos>", "<end_of_turn>", bos="<bos>", pad="<pad>", stops=("<eos>", "<end_of_turn>"),
        others=("<start_of_turn>",), chat=GEMMA, continuous=False,
    ),
    "mistral": Family(
        "mistral", {**GROUPED, "sliding_window": 32}, "</s>", "</s>", bos="<s>", others=("[INST]", "[/INST]"),
        chat=MISTRAL, continuous=False,
    ),
    "granite": Family(
        "granite", {
            **GROUPED, "logits_scaling": 8.0, "embedding_multiplier": 12.0, "attention_multiplier": 0.2,
            "residual_multiplier": 0.22, "tie_word_embeddings": True,
        }, "<|end_of_text|>", "<|end_of_text|>", bos="<|end_of_text|>", pad="<|end_of_text|>",
        others=("<|start_of_role|>", "<|end_of_role|>"), chat=GRANITE,
    ),
    "cohere": Family(
        "cohere", {**GROUPED, "logit_scale": 0.25}, "<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
        bos="<BOS_TOKEN>", pad="<PAD>", others=("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        chat=COHERE,
    ),
    "phi": Family(
        "phi", {**SIZE, "partial_rotary_factor": 0.5}, "<|endoftext|>", "<|endoftext|>", bos="<|endoftext|>",
        targets=("q_proj", "v_proj", "dense", "fc1", "fc2"),
    ),
    "phi3": Family(
        "phi3", GROUPED, "<|endoftext|>", "<|end|>", bos="<s>", pad="<|endoftext|>",
        stops=("<|endoftext|>", "<|assistant|>", "<|end|>"), others=("<|user|>",), chat=PHI,
        targets=("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
    "gpt2": Family(
        "gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024}, "<|endoftext|>", "<|endoftext|>",
        bos="<|endoftext|>", targets=("c_attn", "c_proj", "c_fc"),
    ),
    "opt": Family(
        "opt", {**SIZE, "ffn_dim": 64, "word_embed_proj_dim": 16}, "</s>", "</s>", bos="</s>", pad="<pad>",
        targets=("q_proj", "v_proj", "fc1"), packs=False,
    ),
    "falcon": Family(
        "falcon", SIZE, "<|endoftext|>", "<|endoftext|>", targets=("query_key_value", "dense"), continuous=False,
        packs=False,
    ),
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    """Save the family's model (float32 safetensors) and tokenizer in `folder`; returns it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    family, folder = FAMILIES[name], Path(folder)
    tokens = tokenizer(name)
    ids = {f"{kind}_token_id": getattr(tokens, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    # A head's scale, a bias or a norm that is 0 or 1 would hide what reads them wrongly.
    config = AutoConfig.for_model(
        family.model_type, vocab_size=len(tokens), initializer_range=0.3, **{**family.config, **ids}
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            weight.add_(torch.randn_like(weight), alpha=1 if key == "lm_head.bias" else 0.1)
            if ".layers." in key and (weight.ndim == 2 or ".post_" in key):
                weight.add_(3 * weight if weight.ndim == 2 else 6)  # or a tied head repeats the last token
    model.generation_config.eos_token_id = [tokens.convert_tokens_to_ids(one) for one in family.stops] or ids[
        "eos_token_id"
    ]
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def tokenizer(name: str) -> Any:
    """A byte tokenizer with the special tokens and the template of the family."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    family = FAMILIES[name]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    given = {"bos_token": family.bos, "eos_token": family.eos, "pad_token": family.pad}
    named = {kind: token for kind, token in given.items() if token}
    backend.add_special_tokens(list(dict.fromkeys([*named.values(), family.turn_end, *family.stops, *family.others])))
    backend.add_tokens([AddedToken(one, special=False) for one in family.added])
    if family.bos and family.bos != family.eos:
        first = (family.bos, backend.token_to_id(family.bos))
        backend.post_processor = processors.TemplateProcessing(single=f"{family.bos} $A", special_tokens=[first])
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=family.chat, **named)
