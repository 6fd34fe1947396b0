"""The fine-tuned model in the formats of other runtimes, each held against the adapter."""

from pathlib import Path

ADAPTER = Path("models/adapter")
EXPORT = Path("models/export")
MERGED = "merged"  # in EXPORT, as the others
GGUF = "gguf"
NAME = "medical-chatbot"  # of GGUF files: NAME-QUANTIZATION.gguf, each with its Modelfile-QUANTIZATION
README = "README.md"
KEY = "export.json"
