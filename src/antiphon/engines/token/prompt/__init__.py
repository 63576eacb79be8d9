"""Prompts as tokens, by the model's own chat template."""
