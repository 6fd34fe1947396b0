"""A model of DeepSeek-R1-Distill-Llama-8B's shape with random weights: its speed and memory, and no answers."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from stages.model.weights import cache


def shape_8b(tokenizer: Path) -> Path:
    """The folder of the 8B's shape with random weights, made once (16 GB)."""

    def make(target: Path) -> None:
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

    return cache.cached(["benchmark", "8b"], make)
