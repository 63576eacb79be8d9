"""Hides the control tokens of a tokenizer, so that no text of a caller can become one.

Tokenizers find control tokens in any text by their spellings. So each gets another spelling that
nobody can guess, and only where a control token is meant its own spelling is replaced by that. Its
number stays. Everything here is a function of the `tokenizer.json`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_DIGITS: Final = "".join(chr(0xF0000 + digit) for digit in range(16))
_TO_DIGITS: Final = str.maketrans("0123456789abcdef", _DIGITS)
_ENCLOSED: Final = re.compile(r"<.*>|\[.*\]", re.DOTALL)


class HiddenTokens(msgspec.Struct, frozen=True):
    """A `tokenizer.json` with other spellings of its control tokens.

    `spellings` are the own ones, by their numbers. `silent` are those that are no part of an
    answer's text: others, as `<think>` in some vocabularies, are a text as well. `secret` has the
    other spelling of each.
    """

    document: bytes
    spellings: Mapping[int, str]
    silent: frozenset[int]
    secret: Mapping[str, str]

    def meant(self) -> "re.Pattern[str] | None":
        """Return what finds spellings of control tokens, of two the longer one."""
        known = sorted(self.secret, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, known))) if known else None


def hide_tokens(document: bytes, nonce: str) -> HiddenTokens:
    """Hide the control tokens of a `tokenizer.json`. The `nonce` is of hexadecimal digits.

    Added tokens that are words or white space stay as they are. Raises `ValueError` if this is no
    such file.
    """
    try:
        tokenizer = msgspec.json.decode(document)
        control = {one["content"]: one for one in tokenizer["added_tokens"] if _is_control(one)}
        spellings = {one["id"]: content for content, one in control.items()}
        silent = frozenset(one["id"] for one in control.values() if one["special"])
        secret = {one: _secret(number, nonce) for number, one in enumerate(control)}
        for content, one in control.items():
            one["content"] = secret[content]
        _rename(tokenizer["model"], secret)
        _keep_beginnings(tokenizer)
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it has another form: {error!r}") from error
    return HiddenTokens(msgspec.json.encode(tokenizer), spellings, silent, secret)


def _is_control(added: Mapping[str, Any]) -> bool:
    content: str = added["content"]
    if not content.strip():
        return False
    return bool(added["special"]) or _ENCLOSED.fullmatch(content) is not None


def _secret(number: int, nonce: str) -> str:
    # Private characters, which no normalizer changes; the end keeps one from beginning another.
    return f"{nonce}{number:06x}".translate(_TO_DIGITS)


def _rename(model: dict[str, Any], secret: Mapping[str, str]) -> None:
    """Rename control tokens in the vocabulary, from which a text could be made of them as well."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        for content in vocabulary.keys() & secret.keys():
            vocabulary[secret[content]] = vocabulary.pop(content)
    else:
        model["vocab"] = [[secret.get(piece, piece), score] for piece, score in vocabulary]
    if (unknown := model.get("unk_token")) is not None:
        model["unk_token"] = secret.get(unknown, unknown)
    if (merges := model.get("merges")) is not None:
        model["merges"] = [merge for merge in merges if not _makes(merge, secret)]


def _makes(merge: str | list[str], secret: Mapping[str, str]) -> bool:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    return "".join(parts) in secret or any(part in secret for part in parts)


def _keep_beginnings(tokenizer: dict[str, Any]) -> None:
    """Put no space before a text: a prompt is tokenized in stretches, and most begin within it."""
    for name in ("normalizer", "pre_tokenizer"):
        found = tokenizer.get(name)
        if found is None:
            continue
        parts = found.get("normalizers") or found.get("pretokenizers") or [found]
        for part in parts:
            if part["type"] == "Metaspace":
                part["prepend_scheme"] = "never"
                part.pop("add_prefix_space", None)
            elif "add_prefix_space" in part:
                part["add_prefix_space"] = False
        if found["type"] == "Prepend":
            tokenizer[name] = None
        elif "normalizers" in found:
            found["normalizers"] = [one for one in parts if one["type"] != "Prepend"]
