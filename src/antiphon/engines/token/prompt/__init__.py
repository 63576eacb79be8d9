"""Prompts to tokens, by the model's own chat template."""
