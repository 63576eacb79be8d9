"""The page of metrics says what a server tells: `make metric-table` writes it."""

from support.metric_table import PAGE, page


def test_page_of_metrics_is_the_catalogue() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run make metric-table"
