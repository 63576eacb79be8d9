from support.organization import organization

__all__ = ["organization"]
