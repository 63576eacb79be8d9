"""Pictures, PDFs, documents and citations, as the official documentation calls them."""


def picture_in_base64() -> None:
    import base64

    import anthropic

    with open("chart.png", "rb") as file:
        data = base64.standard_b64encode(file.read()).decode("utf-8")
    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": data},
                    },
                    {"type": "text", "text": "Which sea is on this chart?"},
                ],
            }
        ],
    )
    print(message.content[0].text, message.usage.input_tokens)


def picture_by_its_path() -> None:
    from pathlib import Path

    from anthropic import Anthropic

    response = Anthropic().messages.create(
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Which sea is on this chart?"},
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": Path("chart.png"),
                        },
                    },
                ],
            }
        ],
        model="claude-sonnet-5",
    )
    print(response.content[0].text, response.usage.input_tokens)


def two_pictures_with_names() -> None:
    import base64
    from pathlib import Path

    import anthropic

    data = base64.standard_b64encode(Path("chart.png").read_bytes()).decode()
    content = []
    for number in (1, 2):
        content.append({"type": "text", "text": f"Chart {number}:"})
        content.append(
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": data},
            }
        )
    content.append({"type": "text", "text": "What differs between the charts?"})
    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": content}],
    )
    print(message.content[0].text, message.usage.input_tokens)


def pdf_in_base64() -> None:
    import base64
    from pathlib import Path

    import anthropic

    data = base64.standard_b64encode(Path("log.pdf").read_bytes()).decode("utf-8")
    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "application/pdf",
                            "data": data,
                        },
                    },
                    {"type": "text", "text": "Who signed this log?"},
                ],
            }
        ],
    )
    print(message.content[0].text, message.usage.input_tokens)


def document_in_plain_text() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {
                            "type": "text",
                            "media_type": "text/plain",
                            "data": "The harbour closes at ten. The bridge opens at six.",
                        },
                        "title": "Rules of the harbour",
                        "context": "Hangs at the gate.",
                    },
                    {"type": "text", "text": "When does the harbour close?"},
                ],
            }
        ],
    )
    for block in message.content:
        print(block.type, block.text, getattr(block, "citations", None))


def uploaded_file_in_a_message() -> None:
    import anthropic

    client = anthropic.Anthropic()
    file = client.beta.files.upload(
        file=("rules.txt", b"The harbour closes at ten.", "text/plain"),
    )
    response = client.beta.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "When does the harbour close?"},
                    {"type": "document", "source": {"type": "file", "file_id": file.id}},
                ],
            }
        ],
        betas=["files-api-2025-04-14"],
    )
    print(file.filename, file.mime_type, file.size_bytes, response.content[0].text)
    client.beta.files.delete(file.id)


def files_of_a_workspace() -> None:
    from pathlib import Path

    from anthropic import Anthropic

    client = Anthropic()
    uploaded = client.files.upload(file=Path("log.pdf"))
    print(client.files.retrieve_metadata(uploaded.id).mime_type)
    print(uploaded.id in [file.id for file in client.files.list(limit=20)])
    print(client.files.delete(uploaded.id).type)


def search_results_in_a_message() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "search_result",
                        "source": "https://harbour.example/rules",
                        "title": "Rules",
                        "content": [{"type": "text", "text": "The harbour closes at ten."}],
                        "citations": {"enabled": False},
                    },
                    {"type": "text", "text": "When does the harbour close?"},
                ],
            }
        ],
    )
    print(response.content[0].text)
