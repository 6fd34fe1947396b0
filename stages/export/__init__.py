"""The fine-tuned model in the formats of other runtimes, each held against the adapter."""
