"""The texts of the errors that this room's files raise: an edit here makes no stage stale."""

from stages.files.errors import Text

ANSWERS, ASKED, LOSSES = "answers", "asked again", "reference loss"  # of the progress bars
SUMMARY = (
    "{answers} answers, {tokens} tokens, {stopped} ended by themselves, {cut} cut in their thinking, {asked} asked for "
    "a letter or number"
)
NO_QUESTION = Text(
    "evaluation.split: no question is of the split {split}: raise dataset.eval_share or the rows of a set, or change "
    "evaluation.test_share"
)
NO_ROOM = Text(
    "generation.max_thinking_tokens: {budget} and the closing tag ({closing} tokens) leave no room for an answer "
    "within generation.max_new_tokens ({most}): lower the first, or raise the second"
)
OTHER_ATTENTION = Text(
    "generation.engine: continuous does not reproduce the attention of {model_type}: set it to transformers"
)
REFERENCE_TOO_LONG = Text(
    "data: the longest question with its reference answer has {tokens} tokens, the model {limit} positions: "
    "leave it out of the rows"
)
ANSWER_TOO_LONG = Text(
    "generation.max_new_tokens: {new} after the longest prompt ({longest} tokens), and {more} to ask for the answer, "
    "exceed the model's {limit} positions: lower it, or ask shorter questions"
)
BASE_CHECK = "the base model needs {bits} bits a byte of plain English"
MODEL_BROKEN = Text(
    "model: it needs {found} bits a byte of plain English, and a language model at most {most}: its weights or its "
    "tokenizer are damaged or read wrongly: choose another model, or another file of it"
)
