"""What the chat says beside the model's own words."""

from stages.files.errors import Text

RESEARCH = "Research software, no medical advice: its answers may be wrong. Ask a doctor before you act on one."
NO_FINE_TUNE = "There is no fine-tuned model yet, so the base model answers alone: `dvc repro` trains one."
CUT_OFF = Text("The answer was cut off at generation.max_new_tokens ({tokens:,}).")
THINKING_CUT = "The thinking was closed by force (generation.max_thinking_tokens)."
ONLY_THINKING = "The model was still thinking: there is no answer."
DROPPED_TURNS = Text("The model's context is full: the oldest questions and answers are left out ({dropped:,}).")

NO_QUESTION = Text('there is no question: ask one, as in make ask Q="What is sepsis?"')
TOO_LONG = Text(
    "the question is too long: {tokens:,} tokens with its prompt, where the model reads at most {room:,} and leaves "
    "room for an answer: shorten it, or lower generation.max_new_tokens"
)
NO_CONVERSATION = Text(
    "prompt.style: chat: this model's chat template does not print every earlier turn once: ask without earlier turns"
)
NO_QUESTION_IN = Text("{path}, row {number}: no question: each row is an object with a text `question`")
NOT_BOTH = Text("a question and --file: give one of them")
NOT_KEPT = Text("Not kept: {path} cannot be written: {error}")
NO_ROWS = Text("{path}: there is no question in it: write one on each line")
NO_PORT = Text("no port for the page ({error}): end what has it, or set GRADIO_SERVER_PORT to a free one")
