"""What a token machine needs on any server: prompts as tokens, answers out of tokens."""
