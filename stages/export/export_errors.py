"""The texts of the errors that this room's files raise."""

from stages.files.errors import Text

PORT = Text("PORT={given}: no number from 1 to 65535: make serve PORT=8000")
PORT_TAKEN = Text("port {port} of {host}: {error}: make serve PORT={other}")
NO_MERGED = Text("{path}: not found: `make export` makes it, with merged among export.formats")
STALE = Text("{path}: of another adapter or other params: `make export` makes it again")
NOT_INSTALLED = Text("make serve needs {names}: make install-use")
TEMPLATE_DIFFERS = Text(
    "export: as a chat template the prompt becomes {found!r}, the pipeline's is {wanted!r}: set prompt.style to plain"
)
OVERFLOW = Text(
    "export: {name}: merged in {dtype} it is not finite: lower adapter.scale, or set model.dtype to float32"
)
QUANTIZED_BASE = Text("model.hub.path: {path} is quantised, and a merge needs weights of 16 bits: choose its original")
NO_LLAMA_CPP = Text("export.formats: gguf needs llama.cpp in xllamacpp ({error}): make install-use, or leave gguf out")
REFUSED = Text("{path}: llama.cpp does not load it ({error}): `make export` makes it again")
UNSUPPORTED = Text(
    "export.formats: gguf: {what} is not supported, the families {families} with plain attention are: leave gguf out"
)
TOO_LARGE = Text("export.formats: gguf: {name} does not fit into float16: set model.dtype to float32")
PRE_TOKENIZER = Text(
    "export.formats: gguf: llama.cpp would cut texts into other tokens than this tokenizer ({kind}): leave gguf out"
)
STOP_TOKENS = Text("export.formats: gguf: llama.cpp would not stop at {tokens}: leave gguf out")
TURNS = Text(
    "export.formats: gguf: the chat template writes no Go template of a conversation ({text!r}): leave gguf out"
)
DISK = Text(
    "{folder}: the export takes {needed:.1f} GB, and {free:.1f} are free: free some, or leave out export.formats"
)
MEMORY = Text("out of memory: the export takes {needed:.1f} GB, and {free:.1f} are free: end other programs")
OTHER_PROMPT = Text("{share} % of its prompts are not the pipeline's: the chat template or the BOS token is another")
VANISHED = Text("its logits are the base model's ({base:.2f} nats off, {adapter:.2f} off the adapter's): no fine-tune")
FEWER = Text(
    "{one} % of {n} answers {what}, of the adapter's {other} %: {less} points less, export.margin is {margin:g}"
)
DTYPE = Text("its weights or its config are in {found}, model.dtype is {wanted}")
SPECIAL_TOKENS = Text("its special tokens are not the base model's: {found} instead of {wanted}")
NO_MODELFILE = Text("no Modelfile beside it has the line `{line}`: Ollama would guess prompt and stop tokens")
NO_SETTINGS = Text("there is no generation_config.json: transformers would end each answer after 20 tokens")
FAILED = Text("the export does not answer as the adapter and is kept in {folder} alone:\n{failures}")
