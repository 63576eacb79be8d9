"""JSON schemas as grammars of llama.cpp: whatever can be sampled is JSON, and fits."""
