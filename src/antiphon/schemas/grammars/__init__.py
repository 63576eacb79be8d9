"""JSON schemas as grammars for llama.cpp: every output is JSON and fits the schema."""
