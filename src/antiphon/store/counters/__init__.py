"""The counters behind rate limits and spend limits: one port, in memory or in Valkey."""
