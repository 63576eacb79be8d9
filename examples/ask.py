"""Questions about one document: `python examples/ask.py DOCUMENT QUESTION…`.

The document is marked with `cache_control`. The first question writes it to the prompt cache, and
the others read it there: they wait for a few tokens instead of all, at a tenth of the price.
"""

import argparse
from pathlib import Path

import anthropic
from anthropic.types import TextBlockParam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=Path, help="a text file")
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--model", default="claude-local")
    arguments = parser.parse_args()

    client = anthropic.Anthropic()  # reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
    text = arguments.document.read_text(encoding="utf-8")
    # What stays the same comes first and ends with the mark; what changes comes behind it.
    system: list[TextBlockParam] = [
        {"type": "text", "text": "Answer from the document alone, in one sentence."},
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}},
    ]
    for question in arguments.questions:
        message = client.messages.create(
            model=arguments.model,
            max_tokens=200,
            system=system,
            messages=[{"role": "user", "content": question}],
        )
        usage = message.usage
        print(question)
        print("  " + "".join(block.text for block in message.content if block.type == "text"))
        print(
            f"  read {usage.cache_read_input_tokens} tokens from the cache,"
            f" wrote {usage.cache_creation_input_tokens}, and {usage.input_tokens} beside it"
        )


if __name__ == "__main__":
    main()
