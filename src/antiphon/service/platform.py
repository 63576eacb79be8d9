"""Builds the parts of a running server, once."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.ids import ID_ENTROPY, request_id
from antiphon.core.request_records import RunNote, record_of_run
from antiphon.engines.registry import open_engine
from antiphon.service.access import Access
from antiphon.service.accounting import (
    OpenCacheIndex,
    OpenCounters,
    ServerCounters,
    open_accounting,
    open_cache_index,
    open_counters,
)
from antiphon.service.accounts import Accounts, KeyUsage
from antiphon.service.activity import Activity
from antiphon.service.admin.administration import Administration, build_administration
from antiphon.service.admin.key_expiry import ExpiryWatch
from antiphon.service.admin.keys import KeyRefusedError, KeyRing
from antiphon.service.admin.transactions import SERVER, AdminTransactions
from antiphon.service.background import background
from antiphon.service.batches.batches import Batches
from antiphon.service.batches.opening import OpenBatches, open_batches
from antiphon.service.batches.tracing import BatchTraces
from antiphon.service.caching import PromptCaching
from antiphon.service.console.console import Console, open_console
from antiphon.service.content.file_reader import FileReader
from antiphon.service.content.files import FileSources
from antiphon.service.database_watch import DatabaseWatch
from antiphon.service.desks import Desks
from antiphon.service.files.arrival import FileLimits
from antiphon.service.files.files import Files
from antiphon.service.files.storage import FileStorage
from antiphon.service.files.upkeep import FileUpkeep
from antiphon.service.installation import opened_database, signing_key_of
from antiphon.service.ledger import Ledger
from antiphon.service.limits.admitter import Admitter
from antiphon.service.messages import Messages
from antiphon.service.metrics.requests import RequestMetrics
from antiphon.service.model_states import ModelStateReport
from antiphon.service.models import ENGINES_FOLDER, Models, ModelSource, Open
from antiphon.service.process_place import ALONE, ProcessPlace
from antiphon.service.prompt_cache_report import PromptCacheReport
from antiphon.service.readiness import Readiness
from antiphon.service.record_upkeep import RecordUpkeep
from antiphon.service.reports import Reports
from antiphon.service.request_log import RequestLog
from antiphon.service.requests import Requests
from antiphon.service.running import Running
from antiphon.service.server_settings import ServerSettings
from antiphon.service.server_tools.web.tools import web_tools_of
from antiphon.service.succession import Succession, Successor
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.data_folder import mark_used, open_data_folder
from antiphon.store.database.database import (
    Database,
    OpenDatabase,
    open_database,
    server_database_name,
)
from antiphon.store.database.errors import StoreError
from antiphon.store.database.instance_lock import lock_data_dir
from antiphon.store.journal import CreateJournal, Journal
from antiphon.wire.admin.keys import KeyInfo

if TYPE_CHECKING:
    from antiphon.service.content.sources import UrlSources
    from antiphon.service.content.web import Web


@dataclass(slots=True)
class Platform:
    """The use cases, and the parts that they share. `stopping` is set by the signal to stop.

    `console` and `metrics` are `None` where the settings switch them off, `succession` where no
    model takes over from another one. `first_key` makes the first key and returns it with its
    secret, while no request has used it. `ignored` are the settings of first keys (`api_key`,
    `admin_key`) without an effect: other keys were there before.
    `process` says which of several processes of one server this is; `hands_over` is set, together
    with `stopping`, when another one takes its place: it answers to the end, and is asked for
    nothing new.
    """

    settings: Settings
    database: Database
    accounts: Accounts
    access: Access
    uses: KeyUsage
    models: Models
    messages: Messages
    batches: Batches
    files: Files
    file_storage: FileStorage
    caching: PromptCaching
    prompt_cache: PromptCacheReport
    admitter: Admitter
    counters: ServerCounters
    ledger: Ledger
    reports: Reports
    request_log: RequestLog
    metrics: RequestMetrics | None
    requests: Requests
    activity: Activity
    running: Running
    model_states: ModelStateReport
    server_settings: ServerSettings
    administration: Administration
    console: Console | None
    succession: Succession | None
    first_key: Callable[[], Awaitable[KeyInfo | None]]
    ignored: tuple[str, ...]
    entropy: Callable[[int], bytes]
    now: Callable[[], datetime]
    stopping: asyncio.Event
    readiness: Readiness
    process: ProcessPlace = ALONE
    hands_over: bool = False

    async def open_models(self) -> None:
        """Open every engine; raises the `EngineStartError` of the first that fails."""
        if self.succession is None:
            await self.models.open()
        else:
            await self.succession.open_models()

    def new_request_id(self) -> str:
        """Return the id of a request that begins now."""
        return request_id(self.now().timestamp(), self.entropy(ID_ENTROPY))

    @property
    def draining(self) -> bool:
        """Whether the signal to stop has come: running requests still end."""
        return self.stopping.is_set() and not self.hands_over

    def hand_over(self) -> None:
        """Leave the work on batches to others, as another process takes the place of this one."""
        self.hands_over = True
        self.stopping.set()

    async def refusal(self) -> str | None:
        """Return why every request is refused now; `None` if requests are admitted."""
        try:
            # As every request does: a look at the signal, and a query only after a change.
            await self.accounts.current()
        except StoreError as error:
            return str(error)
        return self.admitter.refused

    async def warnings(self) -> list[str]:
        """Return what the operator should look at, although requests are admitted."""
        warnings = [
            f"{path} has damaged requests, which are not billed; move it once it was examined"
            for path in self.ledger.damaged
        ]
        with suppress(StoreError):
            # A database that is away is a reason to refuse, not a warning.
            if (nearly_full := await self.database.nearly_full()) is not None:
                warnings.append(nearly_full)
        return warnings


def _web_of(settings: Settings) -> "Web | None":
    """Return what fetches the URLs of callers and models, if the settings want it."""
    if not settings.url_sources and not settings.web.fetch:
        return None
    from antiphon.service.content.web import Web  # noqa: PLC0415 - imports an HTTP client

    return Web()


def _sources_of(settings: Settings, web: "Web | None") -> "UrlSources | None":
    if not settings.url_sources or web is None:
        return None
    from antiphon.service.content.sources import UrlSources  # noqa: PLC0415 - as above

    return UrlSources(web, settings.max_body_bytes)


# Asked six times for each request: a function of Python around it would take as long again.
_UTC_NOW: Final = partial(datetime.now, UTC)


@asynccontextmanager
async def build_platform(  # noqa: PLR0913 - the parts that tests replace
    settings: Settings,
    sources: Sequence[ModelSource],
    *,
    address: str = "",
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], datetime] = _UTC_NOW,
    clock: Callable[[], int] | None = None,
    open_engine: Open = open_engine,
    open_database: OpenDatabase = open_database,
    open_counters: OpenCounters = open_counters,
    open_cache_index: OpenCacheIndex = open_cache_index,
    create_journal: CreateJournal = Journal.create,
    open_batches: OpenBatches = open_batches,
    successor: Successor | None = None,
    process: ProcessPlace = ALONE,
    batch_traces: BatchTraces | None = None,
) -> AsyncGenerator[Platform]:
    """Build a platform whose models are not open yet; `platform.open_models()` opens them.

    `address` is where the server listens, for the error of another one on the same data folder.
    `clock` is the clock of the counters in memory: Unix milliseconds that never go back. The
    functions that open resources outside of the process are arguments: the simulator passes its
    own. A `successor` takes over from one of the models once it is fetched and loaded. `process` is
    which of several processes of one server this is. `batch_traces` makes spans of batches.

    Raises `StoreError`, `CountersError`, `KeyRefusedError`, and `SettingsError` for models with
    conflicting names.
    """
    async with AsyncExitStack() as stack:
        if settings.counters_url is None:
            stack.enter_context(lock_data_dir(settings.data_dir, address))
        opened = opened_database(settings, entropy=entropy, now=now, open_database=open_database)
        database = await stack.enter_async_context(opened)
        if settings.database_url is not None:
            # Its journal may soon hold bills, which are this database's alone.
            open_data_folder(settings.data_dir)
            name = server_database_name(settings.database_url.reveal())
            mark_used(settings.data_dir, name)
        transactions = AdminTransactions(database, entropy, now)
        signing_key = await signing_key_of(database, entropy)
        signal = await database.watch()
        accounts = Accounts(database, signal)
        access = Access(accounts, now)
        keys = KeyRing(transactions)
        ignored = await _chosen_keys(keys, access, settings)

        accounting = await stack.enter_async_context(
            open_accounting(
                settings,
                database,
                accounts,
                now=now,
                entropy=entropy,
                clock=clock,
                open_counters=open_counters,
                open_cache_index=open_cache_index,
                create_journal=create_journal,
            )
        )
        uses = KeyUsage(database, now)
        await stack.enter_async_context(uses.writing())
        console = None
        if settings.console.enabled:
            console = await stack.enter_async_context(
                open_console(
                    settings.console,
                    database,
                    signal,
                    accounts=accounts,
                    transactions=transactions,
                    signing_key=signing_key,
                    oidc=settings.oidc,
                )
            )
        await stack.enter_async_context(ExpiryWatch(database, now).watching())
        request_log = RequestLog(database, settings.request_log_days)
        await stack.enter_async_context(request_log.writing())
        await stack.enter_async_context(
            RecordUpkeep(database, now, settings.request_log_days).running()
        )
        await stack.enter_async_context(DatabaseWatch(lambda: database.lost).watching())
        metrics = None
        if settings.metrics.listen is not None:
            metrics = RequestMetrics(by_workspace=settings.metrics.workspaces)
        later = None if successor is None else successor.source
        folder = settings.data_dir / ENGINES_FOLDER
        models = Models(
            sources,
            folder,
            open_engine,
            settings.limits,
            successor=later,
            web_search=settings.web.search is not None,
        )
        stack.push_async_callback(models.aclose)
        caching = PromptCaching(accounting.cache_index, signing_key)
        file_reader = FileReader()
        stack.push_async_callback(file_reader.aclose)
        files = Files(
            database,
            transactions,
            entropy,
            now,
            FileLimits.of(settings),
            downloads=settings.file_downloads,
        )
        await stack.enter_async_context(FileUpkeep(database, now).running())
        messages = Messages(
            models,
            accounting.admitter,
            entropy,
            signing_key,
            caching=caching,
            file_reader=file_reader,
            url_sources=_sources_of(settings, web := _web_of(settings)),
            file_sources=FileSources(files, settings.max_body_bytes),
            web=web_tools_of(settings.web, signing_key, entropy, file_reader, now, web=web),
            normalize_attribution=settings.normalize_attribution,
        )
        stopping = asyncio.Event()
        batches = await stack.enter_async_context(
            open_batches(
                settings,
                database,
                accounts=accounts,
                ledger=accounting.ledger,
                record=partial(_record_run, request_log, models, metrics),
                traces=batch_traces,
                messages=messages,
                models=models,
                now=now,
                entropy=entropy,
                stopping=stopping,
            )
        )
        succession = None
        if successor is not None:
            succession = Succession(models, successor)
            await stack.enter_async_context(background("antiphon-successor", succession.run))
        known = [model.settings for model in models.known]
        desks = Desks(database)
        yield Platform(
            settings=settings,
            database=database,
            accounts=accounts,
            access=access,
            uses=uses,
            models=models,
            messages=messages,
            batches=batches,
            files=files,
            file_storage=FileStorage(
                database, FileLimits.of(settings), downloads=settings.file_downloads
            ),
            caching=caching,
            prompt_cache=PromptCacheReport(desks, accounts, caching, models),
            admitter=accounting.admitter,
            counters=accounting.counters,
            ledger=accounting.ledger,
            reports=Reports(desks, accounts),
            request_log=request_log,
            metrics=metrics,
            requests=Requests(desks, known),
            activity=Activity(desks, accounts),
            running=Running(accounting.metering, models, accounts),
            model_states=ModelStateReport(models, now, succession),
            server_settings=ServerSettings(settings, known, database),
            administration=build_administration(
                transactions,
                settings.limits,
                accounting.counters,
                lambda: models.groups,
                cancelled=batches.stop,
            ),
            console=console,
            succession=succession,
            first_key=partial(keys.first_to_show, SERVER),
            ignored=ignored,
            entropy=entropy,
            now=now,
            stopping=stopping,
            readiness=Readiness(settings, accounts, database, accounting.admitter, models),
            process=process,
        )


def _record_run(
    log: RequestLog,
    models: Models,
    metrics: RequestMetrics | None,
    entry: LedgerEntry,
    note: RunNote,
) -> None:
    """Hand a committed request of a batch to the request log and to the metrics."""
    log.add(record_of_run(entry, note, models.engines_of(entry.served_model)))
    if metrics is not None:
        metrics.answered(entry)


async def _chosen_keys(keys: KeyRing, access: Access, settings: Settings) -> tuple[str, ...]:
    """Create the keys of a new installation whose secrets the settings choose.

    Returns the settings that are ignored: there are other keys, and theirs is none of them.
    """
    ignored: list[str] = []
    for name, chosen, kind in (
        ("admin_key", settings.admin_key, KeyKind.ADMIN),
        ("api_key", settings.api_key, KeyKind.API),
    ):
        if chosen is None:
            continue
        try:
            if await keys.first(SERVER, chosen.reveal(), kind) is not None:
                continue
        except KeyRefusedError as error:
            raise KeyRefusedError(f"{chosen.place or name}: {error}") from error
        if not await access.accepts(chosen.reveal(), kind):
            ignored.append(name)
    return tuple(ignored)
