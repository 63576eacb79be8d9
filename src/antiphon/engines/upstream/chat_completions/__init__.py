"""Upstreams that speak OpenAI's chat completions: vLLM, SGLang, Ollama, llama-server."""
