"""A person's browser without the browser: what the page says to its server."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from pbg_env.web.server import TOKEN_HEADER


class Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status}: {why}")
        self.status = status


class PageUser:
    """Sees what the page at an address would show, and does what its buttons would."""

    def __init__(self, address: str) -> None:
        base, _, self.token = address.partition("#")
        self.base = base.rstrip("/")

    def send(
        self, path: str, body: bytes | None = None, *, method: str | None = None, **headers: str
    ) -> tuple[bytes, Any]:
        told = {TOKEN_HEADER: self.token} | {name.replace("_", "-"): value for name, value in headers.items()}
        told = {name: value for name, value in told.items() if value}
        request = urllib.request.Request(self.base + path, data=body, headers=told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.read(), response.headers
        except urllib.error.HTTPError as error:
            content = error.read()
            try:
                why = json.loads(content)["error"]
            except (ValueError, KeyError):
                why = content.decode()
            raise Refused(error.code, why) from error

    def state(self, after: int = 0) -> dict[str, Any]:
        content, _ = self.send(f"/state?after={after}")
        return json.loads(content) if content else self.state(after)

    def wait(self, what: str, seconds: float = 30.0) -> dict[str, Any]:
        """The state, as soon as it has this."""
        ends, version = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            state = self.state(version)
            if state[what]:
                return state
            version = state["version"]
        raise AssertionError(f"no {what} within {seconds} s")

    def post(self, path: str, **told: Any) -> None:
        self.send(path, json.dumps(told).encode())

    def answer(self, choice: str) -> int:
        """Answers the question that comes; its key."""
        key = int(self.wait("question")["question"]["key"])
        self.post("/answer", key=key, choice=choice, seconds=0.5)
        return key

    def undo(self) -> None:
        self.post("/undo", key=self.wait("question")["question"]["key"])

    def accept(self, which: str) -> None:
        self.post("/accept", key=self.wait("question")["question"]["key"], which=which)

    def restart(self, which: str) -> None:
        self.post("/restart", key=self.wait("question")["question"]["key"], which=which)

    def medium(self, name: str) -> bytes:
        return self.send(f"/media/{name}")[0]
