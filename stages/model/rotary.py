"""The frequencies of rotary positions, in float32 whatever the precision of the weights."""

from typing import Any


def in_float32(network: Any) -> Any:
    """The network, with the frequencies made again that a cast of all of it has rounded.

    transformers and every runtime keep them in float32, as the model was trained: bfloat16 has eight bits for them,
    and position times frequency is then off by up to two radians at position 1,000.
    """
    import torch

    for module in network.modules():
        buffers = dict(module.named_buffers(recurse=False))
        rounded = [name for name, one in buffers.items() if name.endswith("inv_freq") and one.dtype != torch.float32]
        if rounded:
            made = type(module)(config=module.config)
            for name in rounded:
                setattr(module, name, getattr(made, name).to(buffers[name].device))
    return network
