"""Upstreams that are compatible with OpenAI's chat completions: vLLM, SGLang, Ollama, llama-server."""
