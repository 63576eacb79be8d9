"""Roll-ups: sums of the ledger for each minute, hour and day."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from antiphon.logs import EventLog

revision = "0011"
down_revision = "0010"

_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# The days of which there are minutes and hours, the newest of the ledger included.
_DAYS_OF_MINUTES = 3
_DAYS_OF_HOURS = 90
# The log says every so many days with requests which one is summed up.
_DAYS_OF_A_LINE = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DIMENSIONS = (
    *("api_key_id", "workspace_id", "account_id", "service_account_id", "model", "served_model"),
    *("service_tier", "context_window", "inference_geo", "outcome", "error_type"),
)
_COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
_BOUNDS_MS = (
    *(25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400),
    *(9600, 12800, 19200, 25600, 38400, 51200),
)
_FIRST_TOKEN_US = (
    "CASE WHEN first_token_at > started_at THEN first_token_at - started_at ELSE 0 END"  # noqa: S105
)


def upgrade() -> None:
    """Create the tables, and sum up the ledger, a day at a time."""
    op.create_table(
        "usage_groups",
        sa.Column("id", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _DIMENSIONS),
        sa.PrimaryKeyConstraint("id", name="pk_usage_groups"),
        sa.UniqueConstraint(*_DIMENSIONS, name="uq_usage_groups_dimensions"),
    )
    op.create_table(
        "usage_rollups",
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("group_id", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _measures()),
        sa.PrimaryKeyConstraint("width", "start", "group_id", name="pk_usage_rollups"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_floors",
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("width", name="pk_usage_floors"),
    )
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """Sum up every entry: minutes and hours of the newest days, and all days."""
    newest = connection.exec_driver_sql("SELECT max(started_at) FROM ledger").scalar()
    last_day = 0 if newest is None else newest // _DAY
    floors = {
        _MINUTE: max(0, last_day - _DAYS_OF_MINUTES + 1) * _DAY,
        _HOUR: max(0, last_day - _DAYS_OF_HOURS + 1) * _DAY,
    }
    for width, start in floors.items():
        connection.exec_driver_sql(f"INSERT INTO usage_floors VALUES ({width}, {start})")  # noqa: S608 - numbers
    # Alembic gives this module another name, which is below no logger of this program.
    log = EventLog("antiphon.store.database.migrations")
    day, days = 0, 0
    while (first := _first_from(connection, day)) is not None:
        day = first - first % _DAY
        if days % _DAYS_OF_A_LINE == 0:
            log.info("database.sums_up_the_ledger", day=_date(day), last=_date(newest or 0))
        days += 1
        widths = [_DAY, *(width for width, start in floors.items() if day >= start)]
        which = f"started_at >= {day} AND started_at < {day + _DAY}"
        connection.exec_driver_sql(_adding_groups(which))
        connection.exec_driver_sql(_adding_rollups(which, widths))
        day += _DAY


def _date(moment: int) -> str:
    return (_EPOCH + timedelta(microseconds=moment)).date().isoformat()


def _first_from(connection: sa.Connection, moment: int) -> int | None:
    first = f"SELECT min(started_at) FROM ledger WHERE started_at >= {moment}"  # noqa: S608 - a number
    found: int | None = connection.exec_driver_sql(first).scalar()
    return found


def _measures() -> dict[str, str]:
    """Return the columns of sums, each with what it sums up of the ledger."""
    return {
        "requests": "1",
        **{f"{name}_tokens": f"{name}_tokens" for name in (*_COUNTERS, "thinking")},
        **{f"{name}_cost": f"{name}_cost" for name in _COUNTERS},
        "cost": "cost",
        "saved": (
            "CASE WHEN uncached_cost IS NOT NULL AND "
            "cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens > 0 "
            "THEN uncached_cost - (cost - output_cost) ELSE 0 END"
        ),
        "duration_us": "CASE WHEN ended_at > started_at THEN ended_at - started_at ELSE 0 END",
        "first_tokens": "CASE WHEN first_token_at IS NOT NULL THEN 1 ELSE 0 END",
        "first_token_us": _FIRST_TOKEN_US,
        **{
            f"first_tokens_{bound}_ms": _first_tokens(above, bound)
            for above, bound in zip((0, *_BOUNDS_MS), _BOUNDS_MS, strict=False)
        },
        "first_tokens_longer": _first_tokens(_BOUNDS_MS[-1], None),
    }


def _first_tokens(above_ms: int, bound_ms: int | None) -> str:
    upper = "" if bound_ms is None else f" AND {_FIRST_TOKEN_US} <= {bound_ms * 1000}"
    lower = f"{_FIRST_TOKEN_US} > {above_ms * 1000}" if above_ms else "first_token_at IS NOT NULL"
    return f"CASE WHEN {lower}{upper} THEN 1 ELSE 0 END"


def _adding_groups(which: str) -> str:
    names = ", ".join(_DIMENSIONS)
    values = ", ".join(f"coalesce({name}, '') AS {name}" for name in _DIMENSIONS)
    return f"""
        INSERT INTO usage_groups ({names})
        SELECT DISTINCT {values} FROM ledger
        WHERE {which} AND NOT EXISTS (SELECT 1 FROM usage_groups AS g WHERE {_same_group()})
        ORDER BY {names}
        ON CONFLICT ({names}) DO NOTHING
    """  # noqa: S608 - names of columns


def _same_group() -> str:
    return " AND ".join(f"g.{name} = coalesce(ledger.{name}, '')" for name in _DIMENSIONS)


def _adding_rollups(which: str, widths: list[int]) -> str:
    sums = ", ".join(f"sum({made}) AS {name}" for name, made in _measures().items())
    names = ", ".join(_measures())
    all_sums = ", ".join(f"CAST(sum(m.{name}) AS BIGINT)" for name in _measures())
    all_widths = " UNION ALL ".join(f"SELECT {one} AS width" for one in widths)
    narrowest = min(widths)
    return f"""
        INSERT INTO usage_rollups (width, start, group_id, {names})
        SELECT w.width, m.moment - m.moment % w.width, m.group_id, {all_sums}
        FROM (
            SELECT started_at - started_at % {narrowest} AS moment, g.id AS group_id, {sums}
            FROM ledger CROSS JOIN usage_groups AS g WHERE {which} AND {_same_group()}
            GROUP BY 1, 2
        ) AS m CROSS JOIN ({all_widths}) AS w
        GROUP BY 1, 2, 3
    """  # noqa: S608 - names of columns
