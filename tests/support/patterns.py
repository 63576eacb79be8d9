"""Lets all applications of a process of tests share the patterns of their paths.

A server compiles a hundred of them once. Each test of the API has an application of its own.
"""

from functools import cache

from starlette import routing


def share_patterns() -> None:
    """Let Starlette compile each path once; its routes do not change what they get."""
    routing.compile_path = cache(routing.compile_path)
