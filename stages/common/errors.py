"""What a person can mend: shown as its own text, never as a traceback."""


class UserError(Exception):
    """A mistake in params, data or surroundings; its text says what was wrong, where, and what to do."""
