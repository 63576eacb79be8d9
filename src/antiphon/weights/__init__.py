"""Model files on disk: their sources, their checks, their folder."""
