"""Rate limits and spend limits: draws, holds, and the decision about a request."""
