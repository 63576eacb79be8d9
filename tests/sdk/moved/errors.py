"""Errors, retries and timeouts, as the official documentation calls them."""


def errors_by_class() -> None:
    import anthropic
    from anthropic import Anthropic

    client = Anthropic(max_retries=0)
    for text in ("This request meets a limit.", "This request meets a storm."):
        try:
            client.messages.create(
                max_tokens=1024,
                messages=[{"role": "user", "content": text}],
                model="claude-sonnet-5",
            )
        except anthropic.APIConnectionError as error:
            print("no connection", error.__cause__ is not None)
        except anthropic.RateLimitError as error:
            print("wait a little", error.status_code, error.response.headers["retry-after"])
        except anthropic.APIStatusError as error:
            print("another status", error.status_code, error.response.status_code)


def every_class_of_errors() -> None:
    import anthropic

    client = anthropic.Anthropic(max_retries=0)
    for text in (
        "This request is wrong.",
        "This request has no key.",
        "This request is forbidden.",
        "This request finds nothing.",
        "This request meets a limit.",
        "This request breaks the server.",
        "This request meets a storm.",
    ):
        try:
            client.messages.create(
                model="claude-sonnet-5",
                max_tokens=8,
                messages=[{"role": "user", "content": text}],
            )
        except anthropic.BadRequestError as error:
            print("400", error.type, error.body["error"]["message"])
        except anthropic.AuthenticationError as error:
            print("401", error.type)
        except anthropic.PermissionDeniedError as error:
            print("403", error.type)
        except anthropic.NotFoundError as error:
            print("404", error.type)
        except anthropic.RateLimitError as error:
            print("429", error.type)
        except anthropic.InternalServerError as error:
            print(error.status_code, error.type, isinstance(error, anthropic.APIError))


def invalid_request() -> None:
    import anthropic

    try:
        anthropic.Anthropic().messages.create(model="claude-sonnet-5", max_tokens=8, messages=[])
    except anthropic.BadRequestError as error:
        print(error.status_code, error.body["type"], error.body["error"]["type"])
        print(error.request_id == error.response.headers["request-id"])


def wrong_key() -> None:
    import anthropic

    try:
        anthropic.Anthropic(api_key="my-old-key").models.list()
    except anthropic.AuthenticationError as error:
        print(error.status_code, error.type)


def no_server() -> None:
    import anthropic

    client = anthropic.Anthropic(base_url="http://127.0.0.1:9", max_retries=0)
    try:
        client.messages.create(
            model="claude-sonnet-5", max_tokens=8, messages=[{"role": "user", "content": "Hello"}]
        )
    except anthropic.APIConnectionError as error:
        print(isinstance(error, anthropic.APITimeoutError), error.__cause__ is not None)


def retries_of_a_client() -> None:
    from anthropic import Anthropic

    message = Anthropic(max_retries=3).messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "This request works at the third time."}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def retries_of_a_call() -> None:
    import anthropic
    from anthropic import Anthropic

    client = Anthropic(max_retries=0)
    try:
        client.messages.create(
            max_tokens=64,
            messages=[{"role": "user", "content": "This request works at the third time."}],
            model="claude-sonnet-5",
        )
    except anthropic.OverloadedError as error:
        print(error.status_code)
    message = client.with_options(max_retries=5).messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "This request works at the third time."}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def timeout_of_a_client() -> None:
    import anthropic
    from anthropic import Anthropic

    client = Anthropic(timeout=0.05, max_retries=0)
    try:
        client.messages.create(
            max_tokens=64,
            messages=[{"role": "user", "content": "This answer takes a minute."}],
            model="claude-sonnet-5",
        )
    except anthropic.APITimeoutError as error:
        print(isinstance(error, anthropic.APIConnectionError))


def timeout_of_a_call() -> None:
    import anthropic

    client = anthropic.Anthropic()
    try:
        client.with_options(timeout=0.05, max_retries=0).messages.create(
            max_tokens=64,
            messages=[{"role": "user", "content": "This answer takes a minute."}],
            model="claude-sonnet-5",
        )
    except anthropic.APITimeoutError:
        print("too late")
    message = client.messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
        timeout=30.0,
    )
    print(message.content[0].text)


def timeouts_in_detail() -> None:
    import httpx2
    from anthropic import Anthropic

    client = Anthropic(timeout=httpx2.Timeout(60.0, read=5.0, write=10.0, connect=2.0))
    message = client.messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def error_in_the_middle_of_a_stream() -> None:
    import anthropic

    said = ""
    try:
        with anthropic.Anthropic(max_retries=0).messages.stream(
            max_tokens=64,
            messages=[{"role": "user", "content": "This stream meets a storm."}],
            model="claude-sonnet-5",
        ) as stream:
            for text in stream.text_stream:
                said += text
    except anthropic.APIStatusError as error:
        print(said, error.body["error"]["type"])
