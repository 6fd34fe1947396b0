"""The logits of last hidden states, as the model makes them: scaled, capped, biased, whatever its family does.

The model's own forward pass runs on states that are given, with its layers left out: nothing of a head is written a
second time here. Where that is no more than a product with a frozen matrix, as in Llama, Qwen and Mistral, the matrix
is multiplied: whether it is so is tried once a model.
"""

import copy
from typing import Any

import torch
from torch.nn.functional import linear

from stages.model import model_errors

LARGE = 1000  # times a hidden state: far beyond where a cap bends the logits

# Of a config: what bends the logits under Unsloth's forward pass, which is not tried.
BENT = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def native(model: Any) -> bool:
    """Whether a model runs the forward pass of transformers; Unsloth puts its own into the classes."""
    return type(model).forward.__module__.startswith("transformers")


def same(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether two results are equal but for rounding in their dtype."""
    error = (found.float() - wanted.float()).norm() / wanted.float().norm()
    return not error > (1e-3 if found.dtype == torch.float32 else 5e-2)  # a model that is not finite is told elsewhere


class Head:
    """The output layer of a frozen causal model, from hidden states (tokens, width) to logits (tokens, vocab)."""

    def __init__(self, model: Any) -> None:
        """The head of a model, an adapter on it or not; UserError where it needs more than the last hidden states."""
        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        layer = whole.get_output_embeddings()
        # The matrix, where logits are a product with it and nothing else; then what computes and what it returns.
        self.matrix: torch.Tensor | None = getattr(layer, "weight", None)
        self.dtype = whole.dtype if self.matrix is None else self.matrix.dtype
        if not native(whole):
            bent = [getattr(whole.config.get_text_config(), name, None) not in (None, 1) for name in BENT]
            if any(bent) or getattr(layer, "bias", None) is not None:
                raise model_errors.UNSLOTH_HEAD(model_type=whole.config.model_type)
            return
        ids = torch.arange(1, 9, device=whole.device)[None] % whole.config.get_text_config().vocab_size
        whole.eval()
        with torch.no_grad():
            self._output = whole.base_model(input_ids=ids, use_cache=False)
            own = whole(input_ids=ids, use_cache=False).logits[0]
            # A copy that shares all but its body: an attribute of its own comes before a module of that name.
            self._copy = copy.copy(whole)
            self._copy.__dict__[whole.base_model_prefix] = self._body = _Body()
            hidden = self._output.last_hidden_state[0]
            if not same(self._own(hidden), own):
                raise model_errors.HEAD_UNKNOWN(model_type=whole.config.model_type)
            if self.matrix is not None and not all(map(self._is_product, (hidden, LARGE * hidden))):
                self.matrix = None

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states in the head's dtype."""
        return self._own(hidden) if self.matrix is None else linear(hidden, self.matrix)

    def _is_product(self, hidden: torch.Tensor) -> bool:
        return torch.equal(self._own(hidden), linear(hidden[None], self.matrix)[0])

    def _own(self, hidden: torch.Tensor) -> torch.Tensor:
        self._body.output = copy.copy(self._output)
        self._body.output["last_hidden_state"] = hidden[None]
        ids = torch.zeros((1, len(hidden)), dtype=torch.int64, device=hidden.device)
        return type(self._copy).forward(self._copy, input_ids=ids, use_cache=False).logits[0]


class _Body:
    """Stands where a model has its layers: called, itself or any part of it, it returns the output it was given."""

    output: Any = None

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self.output
