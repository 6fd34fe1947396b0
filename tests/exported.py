"""A finished run of a tiny model that learned one answer, as the stages write it: small enough to export in a test."""

from stages.data.prompts import Formatter
from stages.files import records
from stages.generate import answers
from stages.model import adapter, base_model, load

QUESTIONS = 8
SPECIAL = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}
TAGS = ("<think>", "</think>")
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def base(folder):
    """A random Llama of two layers, its tokens bytes and one merge, for llama.cpp reads no vocabulary without one."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = {token: index for index, token in enumerate([*alphabet, "th"])}
    backend = Tokenizer(models.BPE(tokens, [("t", "h")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([*SPECIAL.values(), "<|im_start|>"])
    backend.add_tokens([AddedToken(tag, special=False) for tag in TAGS])  # as R1's
    first = (SPECIAL["bos_token"], backend.token_to_id(SPECIAL["bos_token"]))
    backend.post_processor = processors.TemplateProcessing(single=f"{first[0]} $A", special_tokens=[first])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=CHAT, **SPECIAL)
    torch.manual_seed(0)
    ids = {
        f"{kind.removesuffix('token')}token_id": tokenizer.convert_tokens_to_ids(one) for kind, one in SPECIAL.items()
    }
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(**size, num_key_value_heads=2, vocab_size=len(tokenizer), initializer_range=0.1, **ids)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(params, folder):
    """Write raw rows, prompts, an adapter and both arms' answers to a folder; the adapter's are all right."""
    rows = [
        {"id": f"{number:016x}", "set": "heldout", "kind": "number", "split": "validation", "answer": "7"}
        | {"question": f"Question {number} of {'many ' * number}?", "reasoning": "the sum", "response": "It is 7."}
        for number in range(QUESTIONS)
    ]
    formatter = Formatter(base_model.tokenizer(params.model), params.prompt)
    prompts = formatter.examples(rows)
    learn(params, prompts, folder / "models/adapter")
    for arm, adapted in (("baseline", None), ("post", folder / "models/adapter")):
        model = answers.load_model(params, adapted)
        records.write(folder / f"data/answers/{arm}.jsonl", answers.answer(model, prompts, params, {}))
    for name, written in (("raw", rows), ("prompts", prompts)):
        records.write(folder / f"data/{name}/heldout.jsonl", written)
        records.write(folder / f"data/{name}/evaluation.jsonl", [])
    records.write_json(folder / "data/prompts/summary.json", {"thinking_opened": formatter.thinking_opened})


def learn(params, prompts, folder, steps=60):
    """Train an adapter until the one answer is known by heart."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    tuned = load.for_training(params.model, params.lora, 1, False).train()
    whole = [torch.tensor(row["prompt_ids"] + row["completion_ids"]) for row in prompts]
    ids = pad_sequence(whole, batch_first=True)
    labels = torch.full_like(ids, -100)
    for row, text, label in zip(prompts, whole, labels, strict=True):
        label[len(row["prompt_ids"]) : len(text)] = text[len(row["prompt_ids"]) :]
    optimizer = torch.optim.AdamW([one for one in tuned.parameters() if one.requires_grad], lr=2e-2)
    for _ in range(steps):
        loss = tuned(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    adapter.save(tuned, folder)
    return loss.item()


def changed(params):
    """The params of such a run, from those of the preset tiny."""
    values = params.model_dump(mode="json") | {"free_questions": [], "evaluation_sets": []}
    values["generation"] |= {"max_new_tokens": 48}
    values["lora"] |= {"r": 16, "lora_alpha": 32}
    values["export"] |= {"quantizations": ["f16", "q8_0"]}
    return type(params).model_validate(values)
