"""The texts of the errors that this room's files raise: an edit here makes no stage stale."""

from stages.files.errors import Text

SUMMARY = (
    "{steps} steps, loss {mean_loss:.3f}, last {loss:.3f}; {trainable_parameters:,} of {total_parameters:,} parameters "
    "trained; W&B {wandb_mode}"
)
DIVERGED = Text(
    "training diverged: {name} is {value} at step {step}: lower training.learning_rate (it is {learning_rate})"
)
ROWS_MIX = Text(
    "training.padding_free, training.packing: {model_type} does not keep rows apart that are laid end to end: set both "
    "to false"
)
SLOW_WITHOUT_GPU = Text(
    "training.padding_free and training.packing are for GPUs: without one, attention is masked and far slower"
)
