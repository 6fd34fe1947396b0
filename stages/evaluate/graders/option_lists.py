"""Lines that go through the options, one after another: an echo or a review, which states no answer.

A run of lines that lead with the letters A, B, C ... (or with a text and its letter) states nothing, except those of
its lines that call their option right (`C. Aspirin - correct`, a tick).
"""

import re
from itertools import pairwise

NEXT_LINE = 8  # characters at most between the end of a line and the letter that leads the next
BULLET = r"(?:[-•+] ?|\(?\d[.)] ?)?"
OPTION = r"(?:[Oo]ption |[Cc]hoice )"
LINE = re.compile(
    rf"^[ •·+\d.-]{{0,6}}(?P<mark>yes |wrong |{OPTION})?(?P<text>[^\n(:]{{3,80}} \({OPTION}?)?\(?(?P<letter>[A-Z])"
    r"(?P<behind>\)?(?: \([^()\n]{1,40}\))?(?: ?[).:]+| [—–-]))(?P<rest>.*)$",
    re.M,
)
RIGHT = re.compile(
    r"[—–:(→,-]\s?(?:this is )?(?:the )?(?:correct|right(?! \w)|best|most likely|true|yes|fits|正确)\b"
    r"(?!.*: ?(?:no|wrong|false) ?$)|"
    r"^[).:]+\s?(?:correct|yes|true)\b|\byes$",
    re.I,
)


def without_lists(text: str, options: dict[str, str]) -> str:
    """The text, its runs of lines A, B, C ... blanked where they call nothing right."""
    texts = "|".join(map(re.escape, options.values()))
    text = re.sub(rf"(?im)^(?:{BULLET}(?:{texts})[.,;]?(?:\n|\Z)){{2,}}", "\n", text)
    heads = [match for match in LINE.finditer(text) if match["letter"] in options]
    parts, at = [], 0
    for index, match in enumerate(heads):
        around = heads[max(0, index - 1) : index + 2]
        listed = any(_follows(one, two) for one, two in pairwise(around))
        if listed and match["mark"] != "yes " and not RIGHT.search(match["behind"] + match["rest"]):
            parts += [text[at : match.start()], " " * len(match[0])]
            at = match.end()
    return "".join(parts) + text[at:]


def _follows(one: re.Match[str], two: re.Match[str]) -> bool:
    """Whether a line's letter is the next after another's, or a later one on the next line."""
    step = ord(two["letter"]) - ord(one["letter"])
    alike = (one["text"] is None) == (two["text"] is None)
    return alike and (step == 1 or (step > 1 and two.start() - one.end() < NEXT_LINE))
