"""How each artefact answers in its own runtime: the prompts it makes itself, its greedy answers, its first logits.

An answer is a row: prompt_ids, text, finish_reason, token_ids of the first STEPS tokens, and `likely`, for each of them
the TOP likeliest tokens as pairs of id and log-probability.
"""

STEPS = 8
TOP = 20
