from support.databases import numbers, postgres, postgres_url
from support.house import house

__all__ = ["house", "numbers", "postgres", "postgres_url"]
