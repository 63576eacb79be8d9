import msgspec

from antiphon.wire.content import TextBlock
from antiphon.wire.events import ContentBlockStart, StartedText
from antiphon.wire.fold import OpenBlock


def test_text_without_citations_has_an_empty_list_as_json_and_in_a_stream() -> None:
    empty = {"type": "text", "text": "", "citations": []}
    start = ContentBlockStart(index=0, content_block=StartedText())
    assert msgspec.json.decode(msgspec.json.encode(start))["content_block"] == empty
    whole = OpenBlock(StartedText()).whole()
    assert whole == TextBlock(text="")
    assert msgspec.json.decode(msgspec.json.encode(whole)) == empty
