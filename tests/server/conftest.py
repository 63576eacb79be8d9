from support.databases import numbers, postgres, postgres_template, postgres_url
from support.organization import on_both_databases, organization

__all__ = [
    "numbers",
    "on_both_databases",
    "organization",
    "postgres",
    "postgres_template",
    "postgres_url",
]
