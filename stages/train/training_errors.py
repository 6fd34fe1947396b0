"""The texts of the errors that this room's files raise: an edit here makes no stage stale."""

from stages.files.errors import Text

DIVERGED = Text(
    "training diverged: {name} is {value} at step {step}: lower training.learning_rate (it is {learning_rate})"
)
SLOW_WITHOUT_GPU = Text(
    "training.padding_free and training.packing are for GPUs: without one, attention is masked and far slower"
)
