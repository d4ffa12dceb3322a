"""What the page's server lets in, and what it refuses."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbg_env import HumanOracle, PreferencePairsEnv
from tests.web.client import PageUser, Refused
from tests.web.conftest import Colours

ANSWER = {"choice": "left", "seconds": 1.0}


@pytest.fixture
def asked(human: HumanOracle, user: PageUser, colours: Colours, meanwhile: Callable[..., Future[Any]]) -> Any:
    """The environment's step that waits for an answer."""
    env = PreferencePairsEnv(generator=colours, oracle=human, goal=None)
    env.reset(seed=0)
    step = meanwhile(env.step, np.zeros((1, 2, 3), dtype=np.float32))
    user.wait("question")
    yield step
    env.close()


@pytest.mark.parametrize("path", ["/answer", "/undo", "/accept", "/restart", "/leave", "/target"])
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"x_pbg_token": ""}, "its token"),
        ({"x_pbg_token": "0" * 32}, "of an earlier start"),
        ({"origin": "http://evil.example"}, "came from another page"),
        ({"origin": "null"}, "came from another page"),
        ({"origin": "http://127.0.0.1:1"}, "came from another page"),
        ({"host": "evil.example"}, "does not go by that name"),
        ({"host": "127.0.0.1"}, "does not go by that name"),
    ],
)
def test_what_does_not_come_from_the_page_is_refused(
    asked: Future[Any], user: PageUser, path: str, headers: dict[str, str], why: str
) -> None:
    key = user.state()["question"]["key"]
    with pytest.raises(Refused, match=why) as refused:
        user.send(path, json.dumps({"key": key, **ANSWER}).encode(), **headers)
    assert refused.value.status == 403
    assert not asked.done()
    assert user.state()["question"]["key"] == key


@pytest.mark.parametrize("path", ["/state", "/media/0", "/files/0"])
def test_nothing_is_told_without_the_token(asked: Future[Any], user: PageUser, path: str) -> None:
    with pytest.raises(Refused) as refused:
        user.send(path, x_pbg_token="")
    assert refused.value.status == 403


def test_the_bare_page_holds_no_secret_and_comes_with_its_policy(user: PageUser) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "javascript"), ("/page.css", "text/css"), ("/icon.svg", "svg")):
        content, headers = user.send(path, x_pbg_token="")
        assert kind in headers["content-type"]
        assert user.token.encode() not in content
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert b"http" not in content.replace(b"http://www.w3.org/2000/svg", b""), "nothing comes from elsewhere"
    with pytest.raises(Refused):
        user.send("/", b"{}", x_pbg_token="")


@pytest.mark.parametrize(
    "name", ["..%2f..%2f..%2fetc%2fpasswd", "../../../etc/passwd", "%2fetc%2fpasswd", "answers.sqlite", "0" * 64]
)
@pytest.mark.parametrize("folder", ["/media/", "/files/", "/"])
def test_no_path_is_a_file_name(user: PageUser, folder: str, name: str) -> None:
    with pytest.raises(Refused) as refused:
        user.send(folder + name)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("/answer", b"{", 400, "expected JSON"),
        ("/answer", b"[]", 400, "expected a JSON object"),
        ("/answer", b'{"key": "1", "choice": "left", "seconds": 1}', 400, "key"),
        ("/answer", b'{"key": true, "choice": "left", "seconds": 1}', 400, "key"),
        ("/answer", b'{"key": 1, "choice": "left", "seconds": NaN}', 400, "seconds"),
        ("/answer", b'{"key": 1, "choice": "left", "seconds": -1}', 400, "seconds"),
        ("/answer", b'{"key": 1, "choice": "left"}', 400, "seconds"),
        ("/answer", b'{"key": 1, "choice": "up", "seconds": 1}', 400, "expected one of left, right, both_good"),
        ("/answer", b'{"key": 1, "choice": "left", "seconds": 1}', 409, "answered already, or is no longer asked"),
        ("/undo", b'{"key": 1}', 409, "no longer asked"),
        ("/answer", b" " * 5000, 413, "more than"),
        ("/target", b" " * 13_000_000, 413, "more than 12 MB"),
        ("/target", b"no picture", 400, "no picture that can be read"),
        ("/leave", b"{}", 409, "has not ended"),
        ("/state?after=x", None, 400, "expected a version"),
        ("/state?after=" + "9" * 40, None, 400, "expected a version"),
        ("/nowhere", None, 404, "Not Found"),
        ("/answer", None, 405, "Method Not Allowed"),
    ],
)
def test_bad_requests(asked: Future[Any], user: PageUser, path: str, body: bytes | None, status: int, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        user.send(path, body)
    assert refused.value.status == status
    assert not asked.done()


@pytest.mark.parametrize("which", ["up", "", None])
def test_unknown_places(asked: Future[Any], user: PageUser, which: object) -> None:
    key = user.state()["question"]["key"]
    for path in ("/accept", "/restart"):
        with pytest.raises(Refused, match="expected destination, left or right"):
            user.post(path, key=key, which=which)
    with pytest.raises(Refused, match="nothing is recommended yet"):
        user.post("/accept", key=key, which="destination")


def test_a_question_is_answered_once(asked: Future[Any], user: PageUser) -> None:
    key = user.answer("left")
    with pytest.raises(Refused) as refused:
        user.post("/answer", key=key, choice="right", seconds=1.0)
    assert refused.value.status == 409
    assert asked.result()[4]["queries"] == 1


def test_uploads_are_made_anew(asked: Future[Any], user: PageUser) -> None:
    made = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret of the camera"
    Image.new("RGB", (900, 600), "teal").save(made, "JPEG", exif=exif)
    user.send("/target", made.getvalue())
    content = user.medium(user.state()["target"])
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", (512, 341))
    assert b"secret" not in content
    user.send("/target", b"")
    assert user.state()["target"] is None


def test_a_small_file_of_very_many_pixels_is_refused(asked: Future[Any], user: PageUser) -> None:
    made = io.BytesIO()
    Image.new("1", (9000, 9000)).save(made, "PNG")
    assert len(made.getvalue()) < 20_000
    with pytest.raises(Refused, match="9000 × 9000 pixels; give one of at most 25 million"):
        user.send("/target", made.getvalue())


def test_a_connection_that_is_lost_in_the_middle_of_an_answer(asked: Future[Any], user: PageUser) -> None:
    host, port = user.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /answer HTTP/1.1\r\nHost: {host}:{port}\r\nx-pbg-token: {user.token}\r\nContent-Length: 90\r\n\r\n"
        )
        connection.sendall(head.encode() + b'{"key": 1, "cho')
    user.answer("left")
    assert asked.result()[4]["queries"] == 1


def test_only_this_machine_is_served(human: HumanOracle) -> None:
    port = int(PageUser(human.address).base.rpartition(":")[2])
    own = next(
        (
            found[4][0]
            for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
            if not str(found[4][0]).startswith("127.")
        ),
        None,
    )
    if own is None:
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((str(own), port), timeout=2.0)


def test_many_pages_that_wait_keep_nobody_from_answering(asked: Future[Any], user: PageUser) -> None:
    host, port = user.base.removeprefix("http://").split(":")
    version = user.state()["version"]
    request = f"GET /state?after={version} HTTP/1.1\r\nHost: {host}:{port}\r\nx-pbg-token: {user.token}\r\n\r\n"
    waiting = [socket.create_connection((host, int(port))) for _ in range(100)]
    for connection in waiting:
        connection.sendall(request.encode())
    # Well before any of them would give up.
    user.answer("left")
    assert asked.result(timeout=10)[4]["queries"] == 1
    for connection in waiting:
        connection.close()


def test_an_upload_is_read_as_a_picture_of_the_web_or_not_at_all(asked: Future[Any], user: PageUser) -> None:
    made = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(made, "EPS")
    with pytest.raises(Refused, match="give a PNG, JPEG, WebP or GIF"):
        user.send("/target", made.getvalue())
