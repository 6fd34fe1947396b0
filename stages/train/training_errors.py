"""The texts of errors in training: no stage depends on their wording."""

from stages.files.errors import UserError


def diverged(name: str, value: float, step: int, learning_rate: float) -> UserError:
    """A loss that is not finite."""
    return UserError(
        f"training diverged: {name} is {value} at step {step}: lower training.learning_rate (it is {learning_rate})"
    )
