"""The server of the page: on this machine alone unless told otherwise, for whoever has the session's token."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import mimetypes
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import resources
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pbg_env.media import MediaError
from pbg_env.web.deeds import Stale
from pbg_env.web.files import uploaded
from pbg_env.web.session import Session

# Of the header that carries the token. A page of another origin cannot set it without asking, and is refused.
TOKEN_HEADER = "x-pbg-token"
_USUAL_PORT = 8765
_LARGEST_MESSAGE = 4_096
_LARGEST_UPLOAD = 12_000_000
_POLL_SECONDS = 20.0
_LONGEST_LOOK = 86_400.0
_ANYWHERE = ("0.0.0.0", "::")
_PAGE = {"": "index.html", "page.js": "page.js", "page.css": "page.css", "icon.svg": "icon.svg"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_INSUFFICIENT_STORAGE = 507


class Server:
    """Serves a session from a thread of its own.

    Args:
        session: what is on the page.
        host: the address to listen at; every one but 127.0.0.1 and localhost lets other machines in.
        port: 0 for any that is free; None for 8765, or any where that is taken.

    Raises:
        OSError: the address cannot be listened at.
    """

    def __init__(self, session: Session, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.token = secrets.token_urlsafe(24)
        self.host = host
        try:
            self._socket = _listening(host, _USUAL_PORT if port is None else port)
        except OSError:
            if port is not None:
                raise
            self._socket = _listening(host, 0)
        self.port = int(self._socket.getsockname()[1])
        app = _Guard(_app(session), self.token, _Hosts(host, self.port))
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._session = session
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    @property
    def address(self) -> str:
        """Of the page, for a browser; what follows # never leaves the browser but as the token's header."""
        host = "127.0.0.1" if self.host in _ANYWHERE else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/#{self.token}"

    @property
    def is_open_to_others(self) -> bool:
        """Whether other machines can reach it."""
        return self.host != "localhost" and not _is_loopback(self.host)

    def close(self) -> None:
        """Ends the session's waiting and the server; may be called again."""
        self._session.close()
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
        self._socket.close()


class _Hosts:
    """Which names of a server a browser may have called it by: the others are of strangers that point them here."""

    def __init__(self, host: str, port: int) -> None:
        self._names = {"127.0.0.1", "localhost", "[::1]", host, f"[{host}]"}
        self._anywhere = host in _ANYWHERE
        self._port = port

    def knows(self, header: str) -> bool:
        name, _, port = header.rpartition(":") if ":" in header.rpartition("]")[2] else (header, "", "80")
        if port != str(self._port):
            return False
        return name in self._names or (self._anywhere and (name == socket.gethostname() or _is_address(name)))


class _Guard:
    """Lets through what comes from the page itself.

    Args:
        app: what is guarded.
        token: that everything but the bare page demands.
        hosts: what the server may be called.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: _Hosts) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await _refused(403, refusal)(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not self._hosts.knows(host):
            return "this server does not go by that name; open the address that was printed"
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "this request came from another page"
        if request.method == "GET" and request.url.path.removeprefix("/") in _PAGE:
            return None
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self._token.encode()):
            return (
                "this page is of an earlier start, or was opened without its token; open the address that was printed"
            )
        return None


def _app(session: Session) -> Starlette:
    async def page(request: Request) -> Response:
        name = _PAGE[request.url.path.removeprefix("/")]
        content = resources.files("pbg_env.web").joinpath("page", name).read_bytes()
        return Response(content, media_type=mimetypes.guess_type(name)[0])

    async def state(request: Request) -> Response:
        after = _whole(request.query_params.get("after", "0"))
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        # Many pages may wait, and none of them holds a thread.
        with session.listening(lambda: loop.call_soon_threadsafe(changed.set)):
            found = session.state(after)
            if found is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _POLL_SECONDS)
                found = session.state(after)
        return Response(status_code=204) if found is None else JSONResponse(found)

    async def medium(request: Request) -> Response:
        # The name is looked up among what the page shows; it is no path.
        file = session.file(request.path_params["name"])
        if file is None:
            raise HTTPException(404, "this medium is shown no longer")
        return Response(file.content, media_type=file.type)

    async def download(request: Request) -> Response:
        try:
            found = await run_in_threadpool(session.download, request.path_params["key"])
        except (OSError, ImportError) as error:
            raise HTTPException(_INSUFFICIENT_STORAGE, f"the file cannot be made ({error})") from error
        if found is None:
            raise HTTPException(404, "there is no such file")
        name, content = found
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        # The page names the file: a header could not hold every name.
        return Response(content, media_type=kind, headers={"content-disposition": "attachment"})

    async def answer(request: Request) -> Response:
        told = await _message(request)
        seconds = told.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_LOOK:
            raise HTTPException(400, "seconds: expected how long the pair was looked at")
        return await _done(session.answer, _key(told), str(told.get("choice")), float(seconds))

    async def undo(request: Request) -> Response:
        return await _done(session.undo, _key(await _message(request)))

    async def accept(request: Request) -> Response:
        told = await _message(request)
        return await _done(session.accept, _key(told), str(told.get("which")))

    async def restart(request: Request) -> Response:
        told = await _message(request)
        return await _done(session.restart, _key(told), str(told.get("which")))

    async def leave(request: Request) -> Response:
        await _message(request)
        return await _done(session.leave)

    async def aim(request: Request) -> Response:
        content = await _body(request, _LARGEST_UPLOAD)
        if not content:
            return await _done(session.aim, None)
        try:
            target = await run_in_threadpool(uploaded, content)
        except MediaError as error:
            raise HTTPException(400, str(error)) from error
        return await _done(session.aim, target)

    routes = [Route(f"/{path}", page) for path in _PAGE]
    routes += [
        Route("/state", state),
        Route("/media/{name}", medium),
        Route("/files/{key}", download),
        Route("/answer", answer, methods=["POST"]),
        Route("/undo", undo, methods=["POST"]),
        Route("/accept", accept, methods=["POST"]),
        Route("/restart", restart, methods=["POST"]),
        Route("/leave", leave, methods=["POST"]),
        Route("/target", aim, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _explained})


async def _explained(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    return _refused(error.status_code, error.detail)


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status, headers=_HEADERS)


async def _done(act: Callable[..., None], *arguments: Any) -> Response:
    """Does what the person asked for, away from the server's own thread: it may wait for a disk."""
    try:
        await run_in_threadpool(act, *arguments)
    except Stale as error:
        raise HTTPException(409, str(error)) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    except OSError as error:
        raise HTTPException(_INSUFFICIENT_STORAGE, str(error)) from error
    return JSONResponse({})


async def _body(request: Request, largest: int) -> bytes:
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > largest:
                raise HTTPException(413, f"more than {largest / 1e6:g} MB")
            parts.append(part)
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection was lost") from error
    return b"".join(parts)


async def _message(request: Request) -> dict[str, Any]:
    try:
        told = json.loads(await _body(request, _LARGEST_MESSAGE))
    except ValueError as error:
        raise HTTPException(400, "expected JSON") from error
    if not isinstance(told, dict):
        raise HTTPException(400, "expected a JSON object")
    return told


def _key(told: dict[str, Any]) -> int:
    key = told.get("key")
    if isinstance(key, bool) or not isinstance(key, int):
        raise HTTPException(400, "key: expected the question's")
    return key


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise HTTPException(400, "after: expected a version")
    return int(text)


def _listening(host: str, port: int) -> socket.socket:
    try:
        found: Sequence[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            # A port that a killed server has left can be taken at once.
            if os.name != "nt":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(64)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OSError(f"cannot serve the page at {host}:{port} ({error}); choose another port, or 0 for any") from error
    return listening


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
