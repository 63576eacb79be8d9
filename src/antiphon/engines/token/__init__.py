"""Engines on token machines of any server: prompts to tokens, tokens to answers."""
