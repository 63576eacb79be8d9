"""The settings of signing in by OpenID Connect."""

import re
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.core.openid.addresses import is_safe
from antiphon.secret import Secret

# Administrators are made by the setup and the command line alone.
GivenRole: TypeAlias = Literal["user", "developer", "billing", "claude_code_user"]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]

EVERY_DOMAIN = "*"
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
# The settings that a variable holds as a list: `ANTIPHON_OIDC_DOMAINS=example.org,example.com`.
LISTS = frozenset({"domains", "scopes"})


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The OpenID provider by which people can sign in: the `[oidc]` table.

    `name` stands on the button. People whose verified address is in one of `domains`, and who have
    the `claims`, may sign in. `new_users` is the role of those whom nobody has invited, or
    `invited` to refuse them. `roles` has the role for each value of `role_claim`, and wins over the
    role that a user has. A user who has a password links the account of the provider once, while
    signed in; with `link = "address"` a verified address is enough. `trust_addresses`: addresses
    of which the provider does not say whether they are verified count as verified. With
    `sign_out_there` people can end their session at the provider with that of the Console.
    """

    issuer: Annotated[str, Meta(pattern=r"^https?://[^\s?#]+\Z", max_length=512)]
    client_id: Name
    client_secret: Secret | None = None
    name: Annotated[str, Meta(min_length=1, max_length=40)] = "single sign-on"
    scopes: tuple[str, ...] = ("email", "profile")
    domains: tuple[str, ...] = ()
    claims: dict[Name, str] = {}
    new_users: GivenRole | Literal["invited"] = "invited"
    role_claim: Name | None = None
    roles: dict[Name, GivenRole] = {}
    link: Literal["signed_in", "address"] = "signed_in"
    trust_addresses: bool = False
    sign_out_there: bool = False

    def __post_init__(self) -> None:
        if not is_safe(self.issuer):
            raise ValueError("issuer should begin with https://, but for one on this machine")
        for domain in self.domains:
            if domain != EVERY_DOMAIN and not _DOMAIN.fullmatch(domain):
                raise ValueError(f"domains: {domain[:80]!r} is no domain, such as example.org")
        if (self.role_claim is None) != (not self.roles):
            raise ValueError("`role_claim` and `roles` stand together or not at all")
        if self.new_users != "invited" and not self.domains and not self.claims:
            raise ValueError(
                f"new_users = {self.new_users!r} lets in whoever has an account there: say who in "
                'domains or claims, or everybody with domains = ["*"]'
            )
