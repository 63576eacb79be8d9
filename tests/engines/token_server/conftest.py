"""The vocabulary of a tiny model."""

from support.tiny_vocabulary import folder, vocabulary

__all__ = ["folder", "vocabulary"]
