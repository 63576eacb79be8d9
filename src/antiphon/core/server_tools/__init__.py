"""Tools that this server runs: their place in prompts, and the rules of a search of tools."""
