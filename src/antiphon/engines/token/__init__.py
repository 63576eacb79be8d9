"""Engines on token machines, whatever the server: prompts to tokens, tokens to answers."""
