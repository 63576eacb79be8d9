"""Rate limits and spend limits: what a request draws and holds, and how it is decided."""
