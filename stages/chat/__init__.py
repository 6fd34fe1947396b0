"""Talk to the model: one question on a terminal, or a page with both arms."""
