"""The texts of the errors that this room's files raise."""

from stages.files.errors import Text

TEMPLATE_DIFFERS = Text(
    "export: as a chat template the prompt becomes {found!r}, the pipeline's is {wanted!r}: set prompt.style to plain"
)
OVERFLOW = Text(
    "export: {name}: merged in {dtype} it is not finite: lower adapter.scale, or set model.dtype to float32"
)
QUANTIZED_BASE = Text("model.hub.path: {path} is quantised, and a merge needs weights of 16 bits: choose its original")
