"""An answer on a terminal or in a pipe, as it grows."""

import sys
from typing import Any

DIM, NORMAL = "\x1b[2m", "\x1b[0m"
# A model may write what a terminal would obey.
CONTROL = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Printer:
    """Prints one answer: its thinking dimmed, or between the tags where nothing is colored, then its reply."""

    def __init__(self, tags: list[str], colored: bool) -> None:
        """With the tags of the thinking."""
        self._before, self._after = (DIM, f"{NORMAL}\n\n") if colored else (f"{tags[0]}\n", f"\n{tags[1]}\n")
        self._normal = NORMAL if colored else ""
        self._shown = {"thinking": "", "reply": ""}
        self._thinks = False

    def show(self, answer: Any) -> None:
        """Print what is new."""
        if answer.thinking is not None and not self._shown["thinking"]:  # what was a reply has become thinking
            self._shown = {"thinking": self._shown["reply"], "reply": ""}
        for part, text in (("thinking", answer.thinking), ("reply", answer.reply)):
            if not text or text == self._shown[part]:
                continue
            if self._thinks != (part == "thinking"):
                self._thinks = not self._thinks
                sys.stdout.write(self._before if self._thinks else self._after)
            sys.stdout.write(text.removeprefix(self._shown[part]).translate(CONTROL))
            self._shown[part] = text
        sys.stdout.flush()

    def end(self) -> None:
        """End the answer's last line."""
        print(self._normal if self._thinks else "", flush=True)
