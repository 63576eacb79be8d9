"""How many requests have read from the prompt cache, in the roll-ups."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_DIMENSIONS = (
    *("api_key_id", "workspace_id", "account_id", "service_account_id", "model", "served_model"),
    *("service_tier", "context_window", "inference_geo", "outcome", "error_type"),
)
_SUMMARY = ("model", "error_type")


def upgrade() -> None:
    """Add the column, and count the requests of the days on which any read from the cache."""
    column = sa.Column("cache_reads", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("usage_rollups", column)
    connection = op.get_bind()
    # The summaries say on which days: all days have roll-ups, however old.
    days = connection.exec_driver_sql(
        f"SELECT DISTINCT start FROM usage_rollups WHERE width = {-_DAY} AND cache_read_tokens > 0"  # noqa: S608 - a number
    )
    counting = _counting()
    for (day,) in days.all():
        connection.exec_driver_sql(counting.format(start=day, end=day + _DAY))


def _counting() -> str:
    """Return the statement that counts the requests from `{start}` to before `{end}`.

    Minutes and hours that are removed already have no roll-up to count in.
    """
    same = " AND ".join(f"g.{name} = coalesce(ledger.{name}, '')" for name in _DIMENSIONS)
    same_summary = " AND ".join(
        f"s.{name} = g.{name}" if name in _SUMMARY else f"s.{name} = ''" for name in _DIMENSIONS
    )
    widths = " UNION ALL ".join(
        f"SELECT {width} AS width, {sign * width} AS stored"
        for width in (_MINUTE, _HOUR, _DAY)
        for sign in (1, -1)
    )
    return f"""
        UPDATE usage_rollups SET cache_reads = counted.requests
        FROM (
            SELECT w.stored, m.minute - m.minute % w.width AS start,
                CASE WHEN w.stored < 0 THEN s.id ELSE m.group_id END AS group_id,
                CAST(sum(m.requests) AS BIGINT) AS requests
            FROM (
                SELECT started_at - started_at % {_MINUTE} AS minute, g.id AS group_id,
                    count(*) AS requests
                FROM ledger CROSS JOIN usage_groups AS g
                WHERE started_at >= {{start}} AND started_at < {{end}} AND cache_read_tokens > 0
                    AND {same}
                GROUP BY 1, 2
            ) AS m CROSS JOIN usage_groups AS g CROSS JOIN usage_groups AS s
                CROSS JOIN ({widths}) AS w
            WHERE g.id = m.group_id AND {same_summary}
            GROUP BY 1, 2, 3
        ) AS counted
        WHERE usage_rollups.width = counted.stored AND usage_rollups.start = counted.start
            AND usage_rollups.group_id = counted.group_id
    """  # noqa: S608 - names of columns
