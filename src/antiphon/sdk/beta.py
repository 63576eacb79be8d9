"""The namespace `beta` of the official SDK, for programs that were moved here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.messages import AsyncMessages, Messages


class Beta:
    """`client.beta`: the resources of the client; `betas` of a call name features."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def messages(self) -> Messages:
        return self._client.messages

    def __getattr__(self, name: str) -> Any:
        return _resource(self._client, name)


class AsyncBeta:
    """`client.beta` of an async client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def messages(self) -> AsyncMessages:
        return self._client.messages

    def __getattr__(self, name: str) -> Any:
        return _resource(self._client, name)


def _resource(client: Client | AsyncClient, name: str) -> Any:
    from antiphon.sdk.endpoint import AsyncResource, Resource  # noqa: PLC0415

    found = None if name.startswith("_") else getattr(client, name, None)
    if not isinstance(found, Resource | AsyncResource):
        raise AttributeError(f"this SDK has no beta.{name}")  # noqa: TRY004 - as of any attribute
    return found
