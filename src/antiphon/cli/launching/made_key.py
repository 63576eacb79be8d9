"""Makes the key of a program, in the database of the data folder."""

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.keys import CreateKeyParams, KeyInfo


def make_key(settings: Settings, program: str) -> str:
    """Return the secret of a new key, named after a program. Raises `CommandError`."""
    return str(open_session(settings, lambda session: _made(session, program)).secret)


async def _made(session: AdminSession, program: str) -> KeyInfo:
    taken = {key.name for key in await session.keys() if key.status != "archived"}
    names = (f"launch-{program}{end}" for end in ("", *(f"-{n}" for n in range(2, len(taken) + 3))))
    params = checked(CreateKeyParams, name=next(name for name in names if name not in taken))
    return await session.administration.keys.create(COMMAND_LINE, params)
