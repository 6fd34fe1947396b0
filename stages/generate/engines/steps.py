"""The two steps of a generation engine: read prompts into slots, add a token to each slot."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from stages.generate.engines.slots import NAME, Slots
from stages.generate.sampling import pick
from stages.model.ops.head import Head, same

# Tokens decoded on a GPU before the host looks whether a row has ended: a look waits for the card.
LOOK = 8
DRAFT = 16  # tokens drafted on a CPU for an answer that is written alone


class Steps:
    """Steps of a model that multiply `size` rows, with `slots` slots of up to `length` tokens."""

    def __init__(self, model: Any, size: int, slots: int, length: int) -> None:
        """Slots for the model, which keeps its own attention between two steps."""
        self.size, self.slots, self.length = size, slots, length
        self._model, self._head = model, Head(model)
        # A row that ended is decoded until the next look.
        self._slots = Slots(model, slots, length + LOOK)
        self._next = torch.zeros(size, dtype=torch.int64, device=model.device)
        # The number that picks the token at each position of a slot, where tokens are sampled.
        self._uniforms: torch.Tensor | None = None
        self._temperature, self._top_p = 0.0, 1.0
        self._graphs: dict[tuple[int, int, float, float], Any] = {}

    def begin(self, length: int, temperature: float, top_p: float) -> None:
        """Start a call: how its tokens are picked, and the length that no row of it exceeds.

        A GPU's kernel is chosen by this length, not by calls before.
        """
        self._slots.longest = length + LOOK
        self._temperature, self._top_p = temperature, top_p
        if temperature and self._uniforms is None:
            self._uniforms = torch.zeros((self.slots, self._slots.length), device=self._next.device)

    def _hidden(self, **inputs: Any) -> torch.Tensor:
        """The last hidden states of the model, attending over the slots."""
        config = self._model.config
        own, config._attn_implementation = config._attn_implementation, NAME
        try:
            return self._model.base_model(**inputs, slots=self._slots, use_cache=False).last_hidden_state
        finally:
            config._attn_implementation = own

    @torch.inference_mode()
    def right(self) -> bool:
        """Whether a token after a prompt has the states that the model itself gives it: tried before any answer.

        The model reads prompt and token apart too: kernels of 4-bit weights round one token otherwise than nine.
        """
        ids = [number % self._model.config.get_text_config().vocab_size for number in range(1, 10)]
        body, tokens = self._model.base_model, self._next.new_tensor([ids])
        past = body(input_ids=tokens[:, :-1], use_cache=True).past_key_values
        own = body(input_ids=tokens[:, -1:], past_key_values=past, use_cache=True).last_hidden_state[0, -1]
        self.read([ids[:-1]], 0)
        self._next[0] = ids[-1]
        self._slots.filled[1:] = 0
        return same(self._states(1)[0], own)

    @torch.inference_mode()
    def read(self, prompts: list[list[int]], first: int, draws: list[np.ndarray] | None = None) -> list[int]:
        """Read prompts into the slots from `first`; returns the first token of each answer.

        `draws` are the numbers that pick the tokens of each answer, where they are sampled.
        """
        device = self._next.device
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        # Padded on the right: causal attention never looks there, and decoding overwrites it.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        self._slots.for_prompts(first, len(prompts))
        hidden = self._hidden(input_ids=ids.to(device))
        ends = hidden[torch.arange(len(prompts), device=device), lengths - 1]
        self._slots.filled[first : first + len(prompts)] = lengths
        if draws:
            for slot, (prompt, numbers) in enumerate(zip(prompts, draws, strict=True), first):
                self._uniforms[slot, len(prompt) : len(prompt) + len(numbers)] = torch.from_numpy(numbers)
        self._pick(ends, first)
        return self._next[first : first + len(prompts)].tolist()

    @torch.inference_mode()
    def decode(self, count: int) -> list[list[int]]:
        """Add a token (several on a GPU, and to a slot alone) to the first `count` slots; returns them by step.

        On a CPU every step multiplies matrices of all rows, in use or not: with one shape, the sums of a row are taken
        in one order whatever shares its batch (He et al. 2025, Defeating nondeterminism in LLM inference).
        """
        if not self._next.is_cuda:
            if count == 1 and self.size > DRAFT:
                return self._drafted()
            self._slots.filled[count:] = 0
            self._step(count)
            return [self._next[:count].tolist()]
        steps = []
        replay = self._graph(count)
        for _ in range(LOOK):
            replay()
            steps.append(self._next[:count].clone())
        return torch.stack(steps).tolist()

    @torch.inference_mode()
    def drop(self, slots: list[int], active: list[int]) -> list[int]:
        """Free slots by moving the last ones in use into the gaps; returns the new `active`."""
        if not slots:
            return active
        gone = set(slots)
        count = len(active) - len(gone)
        gaps = [slot for slot in slots if slot < count]
        tail = [slot for slot in range(count, len(active)) if slot not in gone]
        if gaps:
            self._slots.move(tail, gaps)
            self._next[gaps] = self._next[tail]
            if self._uniforms is not None:
                self._uniforms[gaps] = self._uniforms[tail]
        moved = dict(zip(gaps, tail, strict=True))
        return [active[moved.get(slot, slot)] for slot in range(count)]

    def _drafted(self) -> list[list[int]]:
        """The next tokens of the only slot in use: drafted a row at a time, then verified as the rows of one step.

        Speculative decoding (Leviathan et al., ICML 2023) of a model by itself: a step of one row is much faster, and
        rounds otherwise. What is verified is, to the bit, what steps of one token each would have given.
        """
        start = int(self._slots.filled[0])
        tokens = self._next[:1]
        for place in range(start, min(start + DRAFT, self._slots.length - 1)):
            tokens = torch.cat([tokens, self._following(tokens[-1:], place, 1)])
        picked = self._following(tokens, start, self.size)
        right = 1 + int((picked[:-1] == tokens[1:]).cumprod(0).sum())
        self._slots.filled[0], self._next[0] = start + right, picked[right - 1]
        return picked[:right, None].tolist()

    def _following(self, tokens: torch.Tensor, start: int, rows: int) -> torch.Tensor:
        """What follows each of the first slot's tokens from `start` on, in a step of `rows` rows."""
        positions = torch.arange(start, start + len(tokens))
        self._slots.for_tokens(positions, shared=True)
        ids, places = (pad(one, (0, rows - len(tokens)))[:, None] for one in (tokens, positions))
        logits = self._head(self._hidden(input_ids=ids, position_ids=places)[:, 0])[: len(tokens)]
        uniform = self._uniforms[0, positions + 1] if self._temperature else None
        return pick(logits, uniform, self._temperature, self._top_p)

    def _states(self, count: int) -> torch.Tensor:
        """The hidden states of the next token of the first `count` slots; on a CPU, of all rows."""
        positions = self._slots.filled[:count]
        self._slots.for_tokens(positions)
        if not self._next.is_cuda:
            count, positions = self.size, pad(positions, (0, self.size - len(positions)))
        return self._hidden(input_ids=self._next[:count, None], position_ids=positions[:, None])[:, 0]

    def _step(self, count: int) -> None:
        slots, hidden = self._slots, self._states(count)
        count = min(len(hidden), self.slots)
        # Slots beyond those in use are decoded too, where their number was rounded up: they stay within the cache.
        slots.filled[:count] = (slots.filled[:count] + 1).clamp_(max=slots.length - 1)
        self._pick(hidden, 0)

    def _pick(self, hidden: torch.Tensor, first: int) -> None:
        """Pick the next token of the slots from `first`, which stands after all that is in the cache."""
        chosen, uniform = slice(first, min(first + len(hidden), self.slots)), None
        if self._temperature:
            uniform = self._uniforms[chosen].gather(1, self._slots.filled[chosen, None])[:, 0]
        logits = self._head(hidden)[: chosen.stop - first]
        self._next[chosen] = pick(logits, uniform, self._temperature, self._top_p)

    def _graph(self, count: int) -> Any:
        """The replay of a step of at least `count` slots: numbers are rounded up, for few graphs."""
        sizes = sorted({1, 4, *(self.size * part // 8 for part in range(1, 8))})
        rounded = next((size for size in sizes if count <= size <= self.size), self.size)
        key = rounded, self._slots.longest, self._temperature, self._top_p
        if key not in self._graphs:
            self._graphs[key] = self._capture(rounded)
        return self._graphs[key].replay

    def _capture(self, count: int) -> Any:
        """A step of `count` slots as a CUDA graph; tokens and lengths stay as they are."""
        before = self._next.clone(), self._slots.filled.clone()
        # Once outside of the graph, for what libraries set up on a first call. What it writes is written again.
        self._step(count)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=next((one.pool() for one in self._graphs.values()), None)):
            self._step(count)
        self._next.copy_(before[0])
        self._slots.filled.copy_(before[1])
        return graph
