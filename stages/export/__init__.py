"""The fine-tuned model in the formats of other runtimes, each held against the adapter."""

from pathlib import Path

ADAPTER = Path("models/adapter")
EXPORT = Path("models/export")
MERGED = "merged"  # in EXPORT, as the others
GGUF = "gguf"
MODELFILE = "Modelfile"
README = "README.md"
KEY = "export.json"
