"""Rows of the benchmarks: words of the builtin vignettes in random order, as long as the real data set's rows.

Speed and memory depend on lengths alone. FreedomIntelligence/medical-o1-reasoning-SFT has about 90 words of question,
330 of reasoning and 160 of response, about 910 tokens. The words here are shorter: it takes 730 of them.
"""

import random
from itertools import islice

from stages.data.sources import builtin

WORDS, SPREAD, LEAST = 730, 225, 75


def vocabulary() -> list[str]:
    """The words of a few hundred vignettes that are letters alone, sorted."""
    return sorted({word for row in islice(builtin.rows(0), 400) for word in row["question"].split() if word.isalpha()})


def texts(count: int) -> list[str]:
    """Texts of the lengths above, the same for the same count."""
    words, chance = vocabulary(), random.Random(0)
    return [" ".join(chance.choices(words, k=max(LEAST, int(chance.gauss(WORDS, SPREAD))))) for _ in range(count)]


def questions(count: int, most_new_tokens: int) -> tuple[list[str], list[int]]:
    """Texts of 60 to 180 words, and after how many new tokens each answer stops: from a tenth of the cap to the cap."""
    words, chance = vocabulary(), random.Random(1)
    asked = [" ".join(chance.choices(words, k=chance.randint(60, 180))) for _ in range(count)]
    return asked, [chance.randint(most_new_tokens // 10, most_new_tokens) for _ in range(count)]
