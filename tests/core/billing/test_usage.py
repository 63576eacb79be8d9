from antiphon.core.billing.usage import Costs, TokenCounts
from antiphon.wire.messages import CacheCreation, OutputTokensDetails, Usage


def test_counts_equal_the_usage_that_the_caller_was_told() -> None:
    usage = Usage(
        input_tokens=1,
        cache_creation_input_tokens=5,
        cache_creation=CacheCreation(ephemeral_5m_input_tokens=2, ephemeral_1h_input_tokens=3),
        cache_read_input_tokens=4,
        output_tokens=6,
        output_tokens_details=OutputTokensDetails(thinking_tokens=5),
    )
    assert TokenCounts.of(usage) == TokenCounts(
        input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=6, thinking=5
    )


def test_prompt_count_is_all_input_and_no_output() -> None:
    counts = TokenCounts(input=1, cache_write_5m=2, cache_write_1h=4, cache_read=8, output=16)
    assert counts.prompt == 15


def test_prompt_of_more_than_200000_tokens_is_of_the_large_window() -> None:
    assert TokenCounts(input=1, cache_read=199_999).context_window == "0-200k"
    assert TokenCounts(input=1, cache_read=200_000).context_window == "200k-1M"


def test_total_is_the_sum_of_every_cost() -> None:
    costs = Costs(input=1, cache_write_5m=2, cache_write_1h=4, cache_read=8, output=16)
    assert costs.total == 31


def test_counts_add_up_counter_by_counter() -> None:
    one = TokenCounts(
        input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5, thinking=6
    )
    assert TokenCounts() + one == one
    assert (one + one).prompt == 2 * one.prompt
    assert (one + one).thinking == 12
