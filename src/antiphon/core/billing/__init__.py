"""The use and the cost of requests: tokens, prices, ledger entries, reports."""
