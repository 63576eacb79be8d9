"""Helm itself, as a library of a package of the index, and a Kubernetes API that only listens.

The library has no `helm template`: a chart is rendered by installing it, and what Helm then sends
is kept. This file is also a program: `python helm.py LIBRARY lint CHART` or `… install CHART`, with
the values as JSON on standard input; it prints what Helm said, or its error, as JSON.
"""

import ctypes
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RELEASE = "box"
# The kinds that a chart may have, by their group, and what Helm keeps its releases in.
KINDS = {
    "v1": {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services"},
    "apps/v1": {"StatefulSet": "statefulsets"},
    "networking.k8s.io/v1": {"Ingress": "ingresses"},
}
JSON = "application/json"
NOT_FOUND = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "NotFound",
    "code": 404,
}
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: here, cluster: {{server: "{server}"}}}}]
users: [{{name: nobody, user: {{}}}}]
contexts: [{{name: here, context: {{cluster: here, user: nobody}}}}]
current-context: here
"""


class Listener(ThreadingHTTPServer):
    """The API of a cluster that has nothing; `created` is what was sent to it."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def kubeconfig(self) -> str:
        return KUBECONFIG.format(server=f"http://127.0.0.1:{self.server_port}")


def answer(path: str) -> dict[str, Any] | None:
    """Return what a GET of this path is answered; `None` for what is not there."""
    if path.endswith("/secrets"):
        return {"kind": "SecretList", "apiVersion": "v1", "items": []}
    discovery: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()},
    }
    for group in KINDS:
        discovery[f"/apis/{group}" if "/" in group else f"/api/{group}"] = resources(group)
    return discovery.get(path)


def groups() -> list[dict[str, Any]]:
    names = [name for name in KINDS if "/" in name]
    versions = [{"groupVersion": name, "version": name.split("/")[1]} for name in names]
    return [
        {"name": name.split("/")[0], "versions": [version], "preferredVersion": version}
        for name, version in zip(names, versions, strict=True)
    ]


def resources(group: str) -> dict[str, Any]:
    found = [
        {"name": name, "kind": kind, "namespaced": True, "verbs": ["create", "get", "list"]}
        for kind, name in KINDS[group].items()
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group,
        "resources": found,
    }


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        found = answer(self.path.partition("?")[0])
        status = HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK
        self._send(status, json.dumps(found or NOT_FOUND).encode())

    def do_POST(self) -> None:
        kind, text = self._body()
        # Helm keeps its own records in secrets, which it sends as Protobuf.
        if kind == JSON:
            self.server.created.append(json.loads(text))
        self._send(HTTPStatus.CREATED, text, kind)

    def do_PUT(self) -> None:
        kind, text = self._body()
        self._send(HTTPStatus.OK, text, kind)

    def _body(self) -> tuple[str, bytes]:
        return self.headers["content-type"], self.rfile.read(int(self.headers["content-length"]))

    def _send(self, status: HTTPStatus, text: bytes, kind: str = JSON) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Listener]:
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield listener
        finally:
            listener.shutdown()
            thread.join()


def main() -> None:
    library, command, chart = sys.argv[1:]
    values = json.load(sys.stdin)
    helm = ctypes.CDLL(library)
    helm.helm_sdkpy_last_error.restype = ctypes.c_char_p
    handle, result = ctypes.c_ulonglong(), ctypes.c_char_p()
    with listening() as listener:
        failed = helm.helm_sdkpy_config_create(
            b"default", listener.kubeconfig.encode(), None, b"{}", ctypes.byref(handle)
        )
        if not failed and command == "lint":
            failed = helm.helm_sdkpy_lint(handle, chart.encode(), ctypes.byref(result))
        elif not failed:
            options = {"wait": False, "timeout_seconds": 60, "disable_openapi_validation": True}
            failed = helm.helm_sdkpy_install(
                handle,
                RELEASE.encode(),
                chart.encode(),
                json.dumps(values).encode(),
                None,
                json.dumps(options).encode(),
                ctypes.byref(result),
            )
        said = helm.helm_sdkpy_last_error() if failed else result.value
    found = {"failed": failed, "said": (said or b"").decode(), "sent": listener.created}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
