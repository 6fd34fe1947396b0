"""Multiple choice: the answer is the last explicit statement of a letter, or of the text of an option.

A run of lines that lead with A, B, C ... is an echo or a review of the options, and only those of its lines that give a
verdict (`C. Aspirin - correct`) state something. Where a letter and the text behind it disagree, the letter counts. Two
options at once (`B or C`) state none, and take back what was stated before. An answer without any statement that names
one option only, and is not cut off, states that one. What a statement is, letters.py and texts.py say.
"""

import re

from stages.evaluate.graders import letters, option_texts

FINISHED = re.compile(r"[.!)\"':]$")
BRIEF = 8  # words of an answer that may end without a full stop


def stated(text: str, options: dict[str, str]) -> str | None:
    """The letter of the option that a plain text states, or None."""
    text = letters.without_lists(text, options)
    found = letters.statements(text, options)
    found += option_texts.statements(text, options, taken=[one.at for one in found])
    if found:
        return max(found, key=lambda one: one.at).letter
    if not FINISHED.search(text) and len(text.split()) > BRIEF:
        return None
    named = {one.letter for one in option_texts.standing(text, options) if not one.short} | letters.bracketed(
        text, options
    )
    return named.pop() if len(named) == 1 else None
