"""The text of web pages."""

import pytest

from antiphon.service.content.file_protocol import MOST_CHARACTERS, UnreadableFileError
from antiphon.service.content.html_text import page_of

URL = "https://example.com/a/b"


def page(html: str | bytes, charset: str = "") -> tuple[str, str]:
    body = html if isinstance(html, bytes) else html.encode()
    return page_of(f"{URL}\n{charset}\n".encode() + body)


def text(html: str) -> str:
    return page(f"<html><body>{html}</body></html>")[1]


def test_title_and_text_are_read() -> None:
    html = "<head><title>A\n page</title><style>p {}</style></head><body><p>One.<p>Two."
    assert page(html) == ("A page", "One.\n\nTwo.")


@pytest.mark.parametrize(
    ("html", "read"),
    [
        ("<h1>A</h1><h3>B</h3>c", "# A\n\n### B\n\nc"),
        ("<ul><li>a<li>b</ul>c", "- a\n- b\n\nc"),
        ("a<br>b<hr>c", "a\nb\nc"),
        ("<table><tr><th>a<td>b<tr><td>c</table>", "| a | b\n| c"),
        ("<b>o</b>ne <i>two</i>", "one two"),
        ("one\n  two&nbsp;three &amp; &lt;b&gt;", "one two three & <b>"),
        ("<pre>a\n   b\n\n\n\nc</pre>d", "a\n   b\n\n\n\nc\n\nd"),
        ("<p>a</p>\n\n<div><div>\n<p>b</p></div></div>", "a\n\nb"),
        ("a<script>if (a < b) {'</p>'}</script>b<style>x</style>", "ab"),
        ("<nav>menu</nav>a<footer>b<p>c</footer><form>d</form>e", "ae"),
        ("a</div></nav>b", "ab"),
        ("<!-- a --><![CDATA[b]]>c<!doctype html>", "c"),
        ("", ""),
    ],
)
def test_form_is_roughly_that_of_markdown(html: str, read: str) -> None:
    assert text(html) == read


def test_links_have_their_whole_address() -> None:
    assert text('<a href="/c?d=e&amp;f">g</a>') == "[g](https://example.com/c?d=e&f)"
    assert text('<a href="c">d</a>') == "[d](https://example.com/a/c)"
    inside = ("#c", "javascript:c()", "mailto:a@b", "http://[", "", "/" + "c" * 600)
    for href in inside:
        assert text(f'<a href="{href}">d</a>') == "d"
    assert text("<a>d</a><a href='/e'>f") == "d[f](https://example.com/e)"


def test_charset_is_that_of_the_server_then_of_the_page() -> None:
    stated = b'<meta http-equiv=Content-Type content="text/html; charset=iso-8859-2"><p>\xb1</p>'
    assert page(stated)[1] == "ą"
    assert page(stated, "utf-8")[1] == "\ufffd"
    assert page("<p>ą</p>".encode("iso-8859-2"), "ISO-8859-2")[1] == "ą"
    assert page(b"<p>\x93a\x94</p>", "iso-8859-1")[1] == "\u201ca\u201d"
    assert page("<p>ä</p>".encode("utf-16"))[1] == "ä"
    assert page("<p>ä</p>", "none-such")[1] == "ä"
    assert page("<p>ä</p>", "base64")[1] == "ä"
    assert page(b"\xef\xbb\xbf<p>a</p>")[1] == "a"


def test_page_that_is_deep_or_endless_is_read_as_far_as_it_goes() -> None:
    assert text("<div>" * 5000 + "a") == "a"
    with pytest.raises(UnreadableFileError):
        page("<p>" + "a" * (MOST_CHARACTERS + 1))
