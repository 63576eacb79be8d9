from support.databases import numbers, postgres, postgres_url
from support.organization import home, house

__all__ = ["home", "house", "numbers", "postgres", "postgres_url"]
