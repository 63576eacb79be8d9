"""Summaries: roll-ups over all keys and workspaces, for each model and type of error."""

from alembic import op

revision = "0015"
down_revision = "0014"

_DIMENSIONS = (
    *("api_key_id", "workspace_id", "account_id", "service_account_id", "model", "served_model"),
    *("service_tier", "context_window", "inference_geo", "outcome", "error_type"),
)
_SUMMARY = ("model", "error_type")
_BOUNDS_MS = (
    *(25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400),
    *(9600, 12800, 19200, 25600, 38400, 51200),
)
_COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
_MEASURES = (
    *("requests", "thinking_tokens", "cost", "saved"),
    *("duration_us", "first_tokens", "first_token_us", "first_tokens_longer"),
    *(f"{name}_tokens" for name in _COUNTERS),
    *(f"{name}_cost" for name in _COUNTERS),
    *(f"first_tokens_{bound}_ms" for bound in _BOUNDS_MS),
)


def upgrade() -> None:
    """Sum up the roll-ups. Their widths are below zero, so that they stand apart."""
    names = ", ".join(_DIMENSIONS)
    blank = ", ".join(name if name in _SUMMARY else "''" for name in _DIMENSIONS)
    same = " AND ".join(
        f"s.{name} = g.{name}" if name in _SUMMARY else f"s.{name} = ''" for name in _DIMENSIONS
    )
    measures = ", ".join(_MEASURES)
    sums = ", ".join(f"CAST(sum(r.{name}) AS BIGINT)" for name in _MEASURES)
    op.execute(f"INSERT INTO usage_groups ({names}) SELECT DISTINCT {blank} FROM usage_groups")  # noqa: S608 - names
    op.execute(
        f"INSERT INTO usage_rollups (width, start, group_id, {measures}) "  # noqa: S608 - names
        f"SELECT -r.width, r.start, s.id, {sums} FROM usage_rollups AS r "
        f"CROSS JOIN usage_groups AS g CROSS JOIN usage_groups AS s "
        f"WHERE g.id = r.group_id AND {same} GROUP BY 1, 2, 3"
    )
