"""What the chat says beside the model's own words."""

from stages.files.errors import Text

RESEARCH = "Research software, and no medical advice: its answers may be wrong. Ask a doctor before you act on one."
NO_FINE_TUNE = "There is no fine-tuned model yet: the base model answers alone. `dvc repro` trains one."
CUT_OFF = Text("The answer was cut off at {tokens:,} tokens (generation.max_new_tokens).")
THINKING_CUT = "The thinking was closed by force (generation.max_thinking_tokens)."
ONLY_THINKING = "The model was still thinking: there is no answer."
DROPPED_TURNS = Text("Left out, for want of room in the model's context: the first {dropped:,} turns.")

EMPTY_QUESTION = Text('there is no question: ask one as in make ask Q="What is sepsis?"')
TOO_LONG = Text(
    "the question has {tokens:,} tokens with its prompt, and the answer may have {new:,}: more than the {limit:,} that the model "
    "reads: shorten it"
)
