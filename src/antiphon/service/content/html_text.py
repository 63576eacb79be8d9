"""Reads the text of a web page with the parser of the standard library.

What a reader sees is kept, roughly as Markdown: headings, items of lists, tables by rows, and
links with their addresses, which a model needs to go on. Menus, footers, scripts and forms are
left out. A page is a stranger's text and the parser is slow on some, so only the child of
`file_child` uses this.
"""

import re
from codecs import lookup
from collections.abc import Mapping
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Final
from urllib.parse import urljoin, urlsplit

from antiphon.service.content.file_protocol import MOST_CHARACTERS, UnreadableFileError

LONGEST_TITLE: Final = 500
LONGEST_LINK: Final = 500

_LEFT_OUT: Final = frozenset(
    {
        *("script", "style", "template", "noscript", "svg", "math", "canvas", "iframe", "object"),
        *("nav", "footer", "aside", "form", "button", "select", "textarea", "dialog", "head"),
    }
)
_BLOCKS: Final = frozenset(
    {
        *("address", "article", "blockquote", "dd", "details", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "header", "hgroup", "hr", "main", "ol", "p", "pre", "section"),
        *("summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "li", "caption"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "body", "html"),
    }
)
_ROWS: Final = frozenset({"tr", "li", "dt", "dd"})
_BEGINS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"h{level}": "#" * level + " " for level in range(1, 7)},
        "li": "- ",
        "td": " | ",
        "th": " | ",
    }
)
_EMPTY: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"),
        *("track", "wbr"),
    }
)
_MOST_OPEN: Final = 1000
"""The elements that are open at once. Deeper ones are read as if they had no name."""

_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-z0-9_:.-]{1,40})", re.IGNORECASE
)
_SPACE: Final = re.compile(r"[ \t\r\f\v\u00a0]+")
_ANY_SPACE: Final = re.compile(r"\s+")
_LINES: Final = re.compile(r" ?\n[ \n]*\n ?| ?\n ?")


def page_of(content: bytes) -> tuple[str, str]:
    """Return the title and the text of a page.

    `content` is its URL, a newline, the charset that its server states, a newline, and its body.
    Raises `UnreadableFileError` for too much text.
    """
    url, charset, body = content.split(b"\n", 2)
    page = _Page(url.decode("utf-8", "replace"))
    page.feed(_decoded(body, charset.decode("ascii", "replace")))
    page.close()
    return page.title, page.text


def _decoded(body: bytes, charset: str) -> str:
    """Decode a page as its server says, or as the page says itself, or as UTF-8."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    stated = _CHARSET.search(body, 0, 4096)
    for name in (charset, stated[1].decode("ascii") if stated else ""):
        # Browsers read Latin 1 as what it is mostly meant to be.
        named = {"iso-8859-1": "cp1252", "latin1": "cp1252"}.get(name.lower(), name)
        try:
            if named and lookup(named)._is_text_encoding:  # noqa: SLF001 - not all are of text
                return body.decode(named, "replace")
        except (LookupError, ValueError):
            continue
    return body.decode("utf-8-sig", "replace")


class _Page(HTMLParser):
    """A page while it is read."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._url = url
        self._open: list[str] = []
        self._left_out = 0
        self._exact = 0
        self._parts: list[str] = []
        self._size = 0
        self._links: list[str] = []

    @property
    def text(self) -> str:
        """The text, with at most one empty line between its parts."""
        joined = "".join(self._parts)
        spaced = "\n".join(
            line if "\0" in line else _SPACE.sub(" ", line) for line in joined.split("\n")
        )
        lines = _LINES.sub(lambda found: "\n\n" if found[0].count("\n") > 1 else "\n", spaced)
        return lines.replace("\0", "").strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"br", "hr"}:
            self._write("\n")
        if tag in _EMPTY or len(self._open) >= _MOST_OPEN:
            return
        self._open.append(tag)
        if tag in _LEFT_OUT:
            self._left_out += 1
        if self._left_out:
            return
        if tag in _BLOCKS:
            self._write("\n" if tag in _ROWS else "\n\n")
        self._write(_BEGINS.get(tag, ""))
        if tag == "pre":
            self._exact += 1
        elif tag == "a":
            self._links.append(self._target(dict(attrs).get("href")))
            self._write("[" if self._links[-1] else "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._open:
            return
        while self._open:
            ended = self._open.pop()
            self._end(ended)
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title = " ".join(f"{self.title} {data}".split())[:LONGEST_TITLE]
        elif not self._left_out:
            if self._exact:
                # Lines of their own are kept as they are.
                self._write("\n".join(f"\0{line}" for line in data.split("\n")))
            else:
                self._write(_ANY_SPACE.sub(" ", data))

    def _end(self, tag: str) -> None:
        if tag in _LEFT_OUT:
            self._left_out -= 1
        elif self._left_out:
            return
        elif tag in _BLOCKS:
            self._exact -= tag == "pre"
            self._write("\n" if tag in _ROWS else "\n\n")
        elif tag == "a" and self._links:
            target = self._links.pop()
            self._write(f"]({target})" if target else "")

    def _target(self, href: str | None) -> str:
        """Return where a link leads, if that is a page of the web."""
        try:
            target = urljoin(self._url, href or "")
            web = urlsplit(target).scheme in {"http", "https"}
        except ValueError:
            return ""
        inside = (href or "").startswith("#") or not href
        return target if web and not inside and len(target) <= LONGEST_LINK else ""

    def _write(self, text: str) -> None:
        if self._left_out:
            return
        self._size += len(text)
        if self._size > MOST_CHARACTERS:
            raise UnreadableFileError("text")
        self._parts.append(text)
