"""Rows of accounts for a benchmark: keys, people, limits, changes and what waits for an answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from antiphon.core.ids import hash_secret

END = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
FIRST_SECRET = "sk-antiphon-the-first-key-of-the-benchmarks"  # noqa: S105 - of nothing
SERIES = "WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < {n})"
_MONTH_US = 30 * 86_400_000_000
_FEW = "INSERT OR IGNORE INTO {table} ({names}) {series} SELECT {made} FROM series"


def us(moment: datetime) -> int:
    """Return a moment in the form of the database."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def rows_of(number: int, *, workspaces: int) -> Iterator[str]:
    """Yield statements that add so many of everything, but for rows that are there already.

    The keys are of these workspaces. Of the others, which are archived, there are as many as keys.
    """
    now = us(END)
    tables = {
        "workspaces": {
            "id": "printf('wrkspc_%02d', i)",
            "name": "'Workspace ' || i",
            "folded_name": "'workspace ' || i",
            "display_color": "'#6C5BB9'",
            "tags": "'{}'",
            "is_default": "0",
            "created_at": f"{now} - i * 60000000",
            "archived_at": f"CASE WHEN i > {workspaces} THEN {now - 3 * _MONTH_US} END",
        },
        "users": {
            "id": "printf('user_%08d', i)",
            "email": "'person' || i || '@example.com'",
            "name": "'Person ' || i",
            "folded_name": "'person ' || i",
            "role": "CASE i % 3 WHEN 0 THEN 'admin' WHEN 1 THEN 'developer' ELSE 'user' END",
            "added_at": f"{now} - i * 1000000",
        },
        "api_keys": {
            "id": "printf('apikey_01%022d', i - 1)",
            "name": "'Key ' || (i * 7919 % 1000003)",
            "folded_name": "'key ' || (i * 7919 % 1000003)",
            "kind": "'api'",
            "status": "CASE WHEN i % 10 = 9 THEN 'archived' ELSE 'active' END",
            "hint": "'sk-ant-…' || i",
            "workspace_id": f"printf('wrkspc_%02d', 1 + i % {workspaces})",
            "created_at": f"{now} - i * 1000000",
            "created_by": "printf('user_%08d', 1 + i % 100)",
            "expires_at": (
                f"CASE i % 8 WHEN 0 THEN {now} - i * 60000000 WHEN 4 THEN {now + _MONTH_US} + i END"
            ),
            "last_used_at": f"CASE WHEN i % 3 > 0 THEN {now} - i * 30000000 END",
        },
        "key_secrets": {"digest": "randomblob(32)", "key_id": "printf('apikey_01%022d', i - 1)"},
        "audit_log": {
            "id": "printf('audit_%024d', i)",
            "at": f"{now} - i * 500000",
            "actor": """json_object('type', 'user', 'id', printf('user_%08d', 1 + i % 50))""",
            "actor_id": "printf('user_%08d', 1 + i % 50)",
            "action": "CASE i % 3 WHEN 0 THEN 'api_key.create' ELSE 'api_key.update' END",
            "object_type": "'api_key'",
            "object_id": "printf('apikey_01%022d', i % 20000)",
            "after": """json_object('type', 'api_key', 'id', 'x', 'name', 'Key ' || i)""",
        },
        "increase_requests": {
            "id": "printf('increase_%024d', i)",
            "status": "CASE WHEN i % 50 = 0 THEN 'open' ELSE 'granted' END",
            "kind": "'spend_limit'",
            "scope": "'key'",
            "scope_id": "printf('apikey_01%022d', i - 1)",
            "group_id": "''",
            "type": "'monthly'",
            "requested": "20000000000",
            "reason": "'Launch'",
            "asker_type": "'user'",
            "asker_id": "printf('user_%08d', 1 + i % 50)",
            "asked_at": f"{now} - i * 60000000",
        },
        "message_batches": {
            "id": "printf('msgbatch_%024d', i)",
            "workspace_id": f"printf('wrkspc_%02d', 1 + i % {workspaces})",
            "version": "'2023-06-01'",
            "betas": "'[]'",
            "created_at": f"{now} - i * 60000000",
            "expires_at": f"{now} - i * 60000000 + 86400000000",
            "ended_at": f"{now} - i * 60000000 + 3600000000",
            "archived_at": f"CASE WHEN i > 40000 THEN {now} END",
            "ready": "1",
            **dict.fromkeys(("requests", "succeeded"), "100"),
            **dict.fromkeys(("errored", "canceled", "expired"), "0"),
        },
    }
    for table, values in tables.items():
        yield _few(table, values, number)
    digest = hash_secret(FIRST_SECRET).hex()
    first = "SELECT id FROM api_keys ORDER BY id LIMIT 1"
    yield f"INSERT OR IGNORE INTO key_secrets (digest, key_id) VALUES (X'{digest}', ({first}))"  # noqa: S608 - ours
    # One key of ten has limits of its own.
    limits = {
        "id": "printf('spl_%024d', i)",
        "scope": "'key'",
        "scope_id": "printf('apikey_01%022d', i * 10)",
        "period": "'monthly'",
        "amount": "10000000000",
        "created_at": f"{now} - i",
        "updated_at": f"{now}",
    }
    rates = {
        **{name: limits[name] for name in ("scope", "scope_id")},
        "group_id": "'small'",
        "type": "'requests_per_minute'",
        "value": "60",
    }
    yield _few("spend_limits", limits, number // 10)
    yield _few("rate_limits", rates, number // 10)


def _few(table: str, values: dict[str, str], number: int) -> str:
    names, made = ", ".join(f'"{name}"' for name in values), ", ".join(values.values())
    return _FEW.format(table=table, names=names, made=made, series=SERIES.format(n=number))
