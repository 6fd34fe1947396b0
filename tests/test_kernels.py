"""What is computed faster is computed the same: PEFT's LoRA layers and torch's cross entropy are the yardsticks."""

import copy
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy

from stages.model import load
from stages.model.ops import fused_lora, varlen_attention
from stages.train import loss

TARGETS = ["q_proj", "o_proj", "down_proj"]


def tuned(tiny, **changed):
    base = copy.deepcopy(load.for_answers(tiny.model, None, 1.0).network)
    torch.manual_seed(0)
    wrapped = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, **changed))
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return wrapped.train()


def gradients(wrapped, ids):
    wrapped.zero_grad()
    out = wrapped(input_ids=ids).logits
    (out**2).sum().backward()
    return out.detach(), {name: weight.grad for name, weight in wrapped.named_parameters() if weight.requires_grad}


def test_a_fused_lora_layer_gives_pefts_numbers_and_gradients(tiny):
    wrapped, ids = tuned(tiny), torch.randint(0, 256, (3, 11))
    before, wanted = gradients(wrapped, ids)
    assert fused_lora.fuse(wrapped) == len(TARGETS) * tiny.model.random.num_hidden_layers
    after, given = gradients(wrapped, ids)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert given.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(given[name], gradient, rtol=1e-4, atol=1e-4)


def test_a_fused_layer_keeps_its_adapter_in_float32_under_bfloat16(tiny):
    wrapped, ids = tuned(tiny), torch.randint(0, 256, (2, 9))
    for name, weight in wrapped.named_parameters():
        if "lora_" not in name:
            weight.data = weight.data.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        before, wanted = gradients(wrapped, ids)
        fused_lora.fuse(wrapped)
        after, given = gradients(wrapped, ids)
    assert (after.float() - before.float()).norm() < 0.02 * before.float().norm()
    for name, gradient in wanted.items():
        assert given[name].dtype == torch.float32
        assert (given[name] - gradient).norm() < 0.05 * gradient.norm(), name


@pytest.mark.parametrize("changed", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}])
def test_layers_with_more_than_lora_are_left_to_peft(tiny, changed):
    assert fused_lora.fuse(tuned(tiny, **changed)) == 0


def test_a_disabled_or_merged_adapter_is_left_to_peft(tiny):
    wrapped, ids = tuned(tiny), torch.randint(0, 256, (1, 5))
    fused_lora.fuse(wrapped)
    on = wrapped(input_ids=ids).logits
    with wrapped.disable_adapter():
        off = wrapped(input_ids=ids).logits
    assert not torch.allclose(on, off)
    wrapped.merge_adapter()
    torch.testing.assert_close(wrapped(input_ids=ids).logits, on, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokens", [1, loss.CHUNK, loss.CHUNK + 7])
def test_the_chunked_loss_is_cross_entropy_with_its_gradient(tokens):
    torch.manual_seed(0)
    hidden, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(50, 8)
    targets = torch.randint(0, 50, (tokens,))
    wanted = cross_entropy(hidden @ weight.T, targets, reduction="sum")
    (into,) = torch.autograd.grad(3 * wanted, hidden)
    head = SimpleNamespace(matrix=weight, dtype=weight.dtype)
    given = loss.negative_log_likelihood(hidden, head, targets)
    torch.testing.assert_close(given, wanted)
    torch.testing.assert_close(torch.autograd.grad(3 * given, hidden)[0], into)
    with torch.no_grad():
        torch.testing.assert_close(loss.negative_log_likelihood(hidden, head, targets), wanted.detach())


def test_rows_laid_end_to_end_start_where_their_positions_do():
    bounds = varlen_attention.boundaries(torch.tensor([[0, 1, 2, 0, 0, 1]]))
    assert bounds["cu_seq_lens_q"].tolist() == [0, 3, 4, 6]
    assert bounds["max_length_q"] == 3
