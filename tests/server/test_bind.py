"""Listening on an address, and the errors of one that cannot be had."""

import errno
import os
import socket
from typing import Any

import pytest

from antiphon.server.run import ServeError, bind


def refusal(host: str, port: int, number: int = 0) -> str:
    def create(*_: Any, **__: Any) -> socket.socket:
        raise OSError(number, os.strerror(number))

    with pytest.raises(ServeError) as caught:
        bind(host, port, create) if number else bind(host, port)
    return str(caught.value)


def test_listener_takes_connections_before_anything_is_served() -> None:
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        assert listener.getsockname()[1] > 0


def test_taken_port_names_the_flag() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert refusal("127.0.0.1", port) == (
            f"cannot listen on 127.0.0.1:{port}: another program listens there. "
            "Choose another port with --port; --port 0 takes a free one"
        )


def test_port_of_root_is_refused_with_the_rule() -> None:
    assert refusal("127.0.0.1", 80, errno.EACCES) == (
        "cannot listen on 127.0.0.1:80: only root may use ports below 1024. "
        "Choose a higher one with --port"
    )


@pytest.mark.parametrize("host", ["antiphon.invalid", "203.0.113.1"])
def test_address_of_another_machine_is_refused(host: str) -> None:
    assert refusal(host, 8000) == (
        f"cannot listen on {host}:8000: this machine has no such address. "
        "Choose another one with --host"
    )


def test_other_reasons_are_those_of_the_system() -> None:
    assert refusal("::1", 8000, errno.EMFILE) == (
        f"cannot listen on [::1]:8000: {os.strerror(errno.EMFILE)}. "
        "Choose another address with --host and --port"
    )
