"""Answers from tokens: constrained, generated and parsed."""
