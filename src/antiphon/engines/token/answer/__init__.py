"""The answers of token machines: constrained, generated and parsed."""
