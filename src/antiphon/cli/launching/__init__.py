"""How programs of others are set up for a server: what `antiphon launch` starts and writes."""
