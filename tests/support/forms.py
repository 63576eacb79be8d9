"""Forms of uploads, as clients send them."""

from typing import Any

from support.asgi import Answer, Client

BOUNDARY = "----of-the-tests"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
OF_BETA = "files-api-2025-04-14"


def upload_form(
    content: bytes = b"hello",
    filename: str | None = "a.txt",
    mime_type: str | None = "text/plain",
    **fields: str,
) -> bytes:
    """Return the form of a file, with other fields behind it."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"'
    if filename is not None:
        head += f'; filename="{filename}"'
    if mime_type is not None:
        head += f"\r\nContent-Type: {mime_type}"
    form = head.encode() + b"\r\n\r\n" + content + b"\r\n"
    for name, value in fields.items():
        field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        form += field.encode()
    return form + f"--{BOUNDARY}--\r\n".encode()


async def send_file(client: Client, body: bytes | list[bytes], **headers: str) -> Answer:
    """Upload a form; return the answer."""
    return await client.post("/v1/files", body, content_type=FORM, **headers)


async def upload(client: Client, *form: Any, **fields: str) -> Any:
    """Upload a file, which is taken; return what is told of it."""
    answer = await send_file(client, upload_form(*form, **fields))
    assert answer.status == 200, answer.json
    return answer.json


async def remove(client: Client, file_id: str) -> Answer:
    """Delete a file."""
    return await client.start("DELETE", f"/v1/files/{file_id}").task
