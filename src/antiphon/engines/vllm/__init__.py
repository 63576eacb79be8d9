"""The engine on vLLM: a client for its token arrays, and the tokenizer of its model."""
