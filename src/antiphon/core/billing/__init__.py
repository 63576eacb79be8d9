"""What requests use and cost: tokens, prices, ledger entries, reports."""
