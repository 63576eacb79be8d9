"""The parameters of batches, where the official SDK has them."""

from antiphon.sdk.types.params import Request

__all__ = ["Request"]
