from support.databases import (
    database,
    numbers,
    opened,
    postgres,
    postgres_template,
    postgres_url,
    sqlite_path,
    unused_port,
    url,
)

__all__ = [
    "database",
    "numbers",
    "opened",
    "postgres",
    "postgres_template",
    "postgres_url",
    "sqlite_path",
    "unused_port",
    "url",
]
