"""The engine on SGLang: a client for its token arrays."""
