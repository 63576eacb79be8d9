"""Where a browser on this machine finds the server of these settings."""

from antiphon.settings import Settings

_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def local_url(settings: Settings, port: int | None = None) -> str:
    """Return the address of a server that listens on `port`, by default that of the settings."""
    host = "127.0.0.1" if settings.host in _EVERYWHERE else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.port if port is None else port}"


def console_base(settings: Settings, port: int | None = None) -> str:
    """Return the address at which people reach the Console, without a slash at its end."""
    return (settings.console.url or local_url(settings, port)).rstrip("/")
