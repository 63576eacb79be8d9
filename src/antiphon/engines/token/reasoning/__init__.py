"""Reasoning, learned from a model's chat template: its tags, its switches and its efforts."""
