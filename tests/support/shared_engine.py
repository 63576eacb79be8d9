"""An engine behind the socket of a host, as the processes of one server have it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from antiphon.engines.base import Engine
from antiphon.engines.shared.client import SharedEngine
from antiphon.engines.shared.host import EngineHost


class SharedWithHost(SharedEngine):
    """A shared engine that closes its host, and the engine behind it, when it is closed."""

    resources: AsyncExitStack

    async def aclose(self) -> None:
        await super().aclose()
        await self.resources.aclose()


async def shared(engine: Engine) -> SharedWithHost:
    """Return an engine as another process gets it: through a host in this process."""
    async with AsyncExitStack() as stack:
        # A short path, as those of sockets have to be.
        folder = stack.enter_context(TemporaryDirectory(prefix="antiphon-"))
        socket = Path(folder, "engines.sock")
        stack.push_async_callback(engine.aclose)
        await stack.enter_async_context(EngineHost(lambda *_: engine, _place).listening(socket))
        found = SharedWithHost(socket, "m", 0)
        await found.open()
        found.resources = stack.pop_all()
        return found
    raise AssertionError


@asynccontextmanager
async def _place(_: str) -> AsyncIterator[None]:
    yield
