"""Increase requests: asked for by whoever sees a limit, decided on by administrators."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from antiphon.core.billing.money import cents
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.ids import increase_request_id
from antiphon.core.limits.increases import Limit, LimitNow, Step, after, check_count, shown
from antiphon.core.names import is_readable
from antiphon.core.pagination import TokenCursor, cut_page
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.rate_limit_groups import rate_limit_id
from antiphon.service.admin.rate_limits import RateLimits
from antiphon.service.admin.spend_limits import (
    SpendLimits,
    limit_owner,
    scope_info,
    sees_limits_of,
)
from antiphon.service.admin.transactions import (
    USER,
    Actor,
    AdminTransactions,
    Change,
    moment,
    optional_moment,
)
from antiphon.store.increases import (
    Asker,
    IncreaseRequest,
    LimitName,
    add_increase_request,
    count_asked,
    end_increase_request,
    find_increase_request,
    list_increase_requests,
    open_request_for,
)
from antiphon.store.limits import list_spend_limits
from antiphon.wire.admin.increases import (
    AskForIncreaseParams,
    GrantIncreaseParams,
    IncreaseInfo,
    RateLimitTarget,
)
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

_DAY: Final = timedelta(days=1)


class Ending(msgspec.Struct, frozen=True):
    """How a request ends: the step, and what it leaves behind."""

    step: Step
    granted: int | None = None
    answer: str | None = None
    replaced_by: str | None = None


class Increases:
    """The use cases of increase requests."""

    def __init__(
        self, transactions: AdminTransactions, rates: RateLimits, spends: SpendLimits
    ) -> None:
        self._transactions = transactions
        self._rates = rates
        self._spends = spends

    async def ask(
        self, actor: Actor, params: AskForIncreaseParams, reach: Reach = EVERYTHING
    ) -> IncreaseInfo:
        """Ask for a higher limit within reach; an open request of the actor for it is replaced.

        Raises `InvalidRequestError` for what is no increase or cannot be granted, and if too many
        requests are open; `NotFoundError` for a limit that is out of reach.
        """
        now, asker = self._transactions.now(), _asker(actor)
        reason = _sentence("reason", params.reason)
        async with self._transactions.change() as connection:
            name = await self._name(connection, params, reach)
            limit = Limit(name.kind, (await self._now(connection, [name.scope_id]))(name))
            request = IncreaseRequest(
                id=increase_request_id(self._transactions.entropy()),
                **name._asdict(),
                requested=limit.wanted(params.requested),
                reason=reason,
                asker_type=asker.type,
                asker_id=asker.id,
                asked_at=now,
            )
            if earlier := await open_request_for(connection, name, asker):
                ending = Ending(Step.REPLACE, replaced_by=request.id)
                await self._end(connection, actor, earlier, ending)
            check_count(await count_asked(connection, asker, now - _DAY))
            await add_increase_request(connection, request)
            info = _info(request, limit.now)
            await self._transactions.note(connection, actor, _change("create", None, info))
        return info

    async def page(
        self,
        cursor: TokenCursor,
        statuses: Collection[str] = (),
        reach: Reach = EVERYTHING,
    ) -> TokenListing:
        """List requests, the newest first; a user who sees a part of the organization has own ones.

        Raises `InvalidRequestError` for a token of another listing.
        """
        async with self._transactions.read() as connection:
            found = await list_increase_requests(
                connection,
                limit=cursor.size + 1,
                before=cursor.place,
                statuses=statuses,
                asker=None if reach.owner is None else Asker(USER, reach.owner),
            )
            shown, following = cut_page(found, cursor.size, lambda one: (one.asked_at, one.id))
            infos = await self._infos(connection, shown, reach)
        return TokenListing(data=infos, next_page=following)

    async def one(self, wanted: str, reach: Reach = EVERYTHING) -> IncreaseInfo:
        """Return a request. Raises `NotFoundError`, also for one out of reach."""
        async with self._transactions.read() as connection:
            request = await _the_request(connection, wanted, reach)
            (info,) = await self._infos(connection, [request], reach)
            return info

    async def grant(
        self, actor: Actor, wanted: str, params: GrantIncreaseParams | None = None
    ) -> IncreaseInfo:
        """Raise the limit, and end the request: both or neither.

        Raises `InvalidRequestError` if the request has ended, or the limit cannot be raised so.
        """
        chosen = params or GrantIncreaseParams()
        answer = None if chosen.answer is None else _sentence("answer", chosen.answer)
        async with self._transactions.together(), self._transactions.change() as connection:
            request = await _the_request(connection, wanted)
            after(request.status, Step.GRANT)
            limit = Limit(
                request.kind, (await self._now(connection, [request.scope_id]))(request.limit)
            )
            amount = limit.granted(request.requested, chosen.granted)
            before = _info(request, limit.now)
            if amount != limit.now.value:
                await self._raise(connection, actor, request, amount)
            ending = Ending(Step.GRANT, granted=amount, answer=answer)
            return await self._end(connection, actor, request, ending, before)

    async def refuse(self, actor: Actor, wanted: str, answer: str) -> IncreaseInfo:
        """End a request without an increase; the sentence says why."""
        ending = Ending(Step.REFUSE, answer=_sentence("answer", answer))
        async with self._transactions.change() as connection:
            request = await _the_request(connection, wanted)
            return await self._end(connection, actor, request, ending)

    async def withdraw(self, actor: Actor, wanted: str, reach: Reach = EVERYTHING) -> IncreaseInfo:
        """End a request of the actor's own."""
        async with self._transactions.change() as connection:
            request = await _the_request(connection, wanted, reach)
            if request.asker != _asker(actor):
                raise InvalidRequestError(
                    "Only whoever has asked can withdraw an increase request; refuse it instead."
                )
            info = await self._end(connection, actor, request, Ending(Step.WITHDRAW))
            is_seen = await sees_limits_of(connection, request.owner, reach)
            return info if is_seen else replace(info, current=None)

    async def _infos(
        self, connection: "AsyncConnection", requests: Sequence[IncreaseRequest], reach: Reach
    ) -> tuple[IncreaseInfo, ...]:
        """Return requests as the API shows them.

        Whoever has left a workspace since does not see what its limits are now.
        """
        now = await self._now(connection, {one.scope_id for one in requests})
        owners = {one.owner for one in requests}
        seen = {owner for owner in owners if await sees_limits_of(connection, owner, reach)}
        return tuple(
            _info(one, now(one.limit) if one.owner in seen else LimitNow(None)) for one in requests
        )

    async def _end(
        self,
        connection: "AsyncConnection",
        actor: Actor,
        request: IncreaseRequest,
        ending: Ending,
        before: IncreaseInfo | None = None,
    ) -> IncreaseInfo:
        """End a request; `before` is what it was, if its limit has changed since."""
        limit_now = (await self._now(connection, [request.scope_id]))(request.limit)
        ender = _asker(actor)
        ended = replace(
            request,
            status=after(request.status, ending.step),
            ender_type=ender.type,
            ender_id=ender.id,
            ended_at=self._transactions.now(),
            granted=ending.granted,
            answer=ending.answer,
            replaced_by=ending.replaced_by,
        )
        await end_increase_request(connection, ended)
        info = _info(ended, limit_now)
        change = _change(ending.step, before or _info(request, limit_now), info)
        await self._transactions.note(connection, actor, change)
        return info

    async def _name(
        self, connection: "AsyncConnection", params: AskForIncreaseParams, reach: Reach
    ) -> LimitName:
        target = params.limit
        owner = await limit_owner(connection, target.scope, reach)
        if isinstance(target, RateLimitTarget):
            view = await self._rates.view(connection)
            group = view.limited_group(target.rate_limit_id, target.limit_type)
            return LimitName("rate_limit", *owner, group, target.limit_type)
        return LimitName("spend_limit", *owner, "", target.period)

    async def _now(
        self, connection: "AsyncConnection", owners: Collection[str]
    ) -> Callable[[LimitName], LimitNow]:
        """Return what tells the present amount of a limit of these owners."""
        view = await self._rates.view(connection, owners)
        rate = view.present

        def now(name: LimitName) -> LimitNow:
            owner = (name.scope, name.scope_id)
            if name.kind == "rate_limit":
                return rate(owner, name.group_id, name.type)
            return self._spends.present(view.limits, owner, name.type)

        return now

    async def _raise(
        self, connection: "AsyncConnection", actor: Actor, request: IncreaseRequest, amount: int
    ) -> None:
        name = request.limit
        owner = (name.scope, name.scope_id)
        if name.kind == "rate_limit":
            await self._rates.set(actor, owner, name.group_id, {name.type: amount})
            return
        for limit in await list_spend_limits(connection, [name.scope_id]):
            if limit.period == name.type:
                await self._spends.change(actor, limit.id, cents(amount))


def _asker(actor: Actor) -> Asker:
    return Asker(actor.type, actor.id or "")


def _change(did: str, before: IncreaseInfo | None, info: IncreaseInfo) -> Change:
    return Change(f"{info.type}.{did}", before, info)


async def _the_request(
    connection: "AsyncConnection", wanted: str, reach: Reach = EVERYTHING
) -> IncreaseRequest:
    request = await find_increase_request(connection, wanted)
    if request is None or (reach.owner is not None and request.asker != (USER, reach.owner)):
        raise NotFoundError(f"Increase request {shortened(wanted)} not found.")
    return request


def _sentence(field: str, text: str) -> str:
    """Return a text, which may have several lines. Raises `InvalidRequestError` if unreadable."""
    if not is_readable(text.replace("\n", " ")):
        raise InvalidRequestError(f"{field}: Input should be printable characters, not only spaces")
    return text.strip()


def _info(request: IncreaseRequest, now: LimitNow) -> IncreaseInfo:
    """Return a request as the API shows it."""
    kind = request.kind
    limit: dict[str, Any] = {"type": kind, "scope": scope_info(request.scope, request.scope_id)}
    if kind == "rate_limit":
        limit |= {"rate_limit_id": rate_limit_id(request.group_id), "limit_type": request.type}
    else:
        limit |= {"period": request.type}
    ended_by = None
    if request.ender_type is not None:
        ended_by = {"type": request.ender_type, "id": request.ender_id or None}
    return IncreaseInfo(
        id=request.id,
        status=request.status,
        limit=limit,
        current=None if now.value is None else shown(kind, now.value),
        requested=shown(kind, request.requested),
        granted=None if request.granted is None else shown(kind, request.granted),
        reason=request.reason,
        answer=request.answer,
        asked_by={"type": request.asker_type, "id": request.asker_id or None},
        asked_at=moment(request.asked_at),
        ended_by=ended_by,
        ended_at=optional_moment(request.ended_at),
        replaced_by=request.replaced_by,
    )
