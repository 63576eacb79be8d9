"""What is claimed of a prefix cache of blocks."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.token_server.prefixes import read_size, reused


@given(st.integers(1, 40), st.integers(1, 400), st.integers(0, 40), st.data())
def test_prefix_that_was_read_before_is_reused_as_a_whole(
    block: int, edge: int, tail: int, data: st.DataObject
) -> None:
    """A server keeps whole blocks, and computes the last token of a prompt."""
    read = read_size(edge, block, edge + tail)
    assert read <= edge + tail
    assert read <= edge + 1
    assert edge - read < block
    before = data.draw(st.integers(0, edge))
    cached = min(before // block, (read - 1) // block) * block
    found = reused(cached, read, edge, block)
    assert cached <= found <= edge
    assert found - cached <= block
    if cached:
        assert found >= before
    if tail and before == edge and cached:
        assert read - cached == 1


@given(st.integers(1, 64), st.integers(1, 2000))
def test_nothing_is_claimed_where_nothing_was_cached(block: int, edge: int) -> None:
    assert reused(0, read_size(edge, block, edge), edge, block) == 0


def test_more_than_one_block_less_is_not_claimed() -> None:
    assert read_size(130, 16, 200) == 129
    assert reused(96, 129, 130, 16) == 111
    assert reused(128, 129, 130, 16) == 130
    assert read_size(128, 16, 128) == 128
    assert reused(112, 128, 128, 16) == 128
