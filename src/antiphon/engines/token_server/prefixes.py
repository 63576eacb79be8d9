"""What may be claimed of a server's prefix cache, which keeps prompts in whole blocks of tokens."""


def read_size(edge: int, block: int, size: int) -> int:
    """Return how many tokens of a prompt of `size` to read, to know what was kept up to an edge.

    A server computes the last token of every prompt, with its block. So one token more than the
    whole blocks up to the edge is read: then nothing but that token is computed of what was kept.
    """
    return min(edge // block * block + 1, size)


def reused(cached: int, read: int, edge: int, block: int) -> int:
    """Return up to how many tokens a prefix counts as reused.

    `cached` are those that the server reports for the first `read` tokens of a prompt with an edge.
    A prefix counts as reused as a whole if all its whole blocks were, as far as they can be:
    `block` tokens of it at most were not.
    """
    if not cached:
        return 0
    most = (read - 1) // block * block
    return edge if cached >= most else min(cached + block - 1, edge)
