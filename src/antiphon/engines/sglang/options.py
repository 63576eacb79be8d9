"""The options of a sglang engine: a model's table in the settings, decoded."""

from antiphon.engines.token_server.options import TokenServerOptions


class SglangOptions(TokenServerOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a model on an SGLang server."""
