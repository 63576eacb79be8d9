"""Where entries of the prompt cache are kept: in memory, or in Valkey for several servers."""
