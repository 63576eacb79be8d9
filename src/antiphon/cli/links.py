"""Where a browser on this machine finds the server of these settings."""

from msgspec.structs import replace

from antiphon.settings import Settings
from antiphon.store.database.instance_lock import serving_address

_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def local_url(settings: Settings, port: int | None = None) -> str:
    """Return the address of a server that listens on `port`, by default that of the settings."""
    host = "127.0.0.1" if settings.host in _EVERYWHERE else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.port if port is None else port}"


def console_base(settings: Settings, port: int | None = None) -> str:
    """Return the address at which people reach the Console, without a slash at its end."""
    return (settings.console.url or local_url(settings, port)).rstrip("/")


def running_console_base(settings: Settings) -> str:
    """Return the same for a command: of the server that runs on the data folder, if one does.

    Its address may come from flags, which the command does not know. `console.url` goes before it.
    """
    address = serving_address(settings.data_dir)
    if address is None:
        return console_base(settings)
    host, _, port = address.rpartition(":")
    return console_base(replace(settings, host=host.strip("[]")), int(port))
