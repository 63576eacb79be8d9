"""One engine for several processes: its host computes, the others ask it over a local socket."""
