"""The page in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.random_search import RandomSearch
from agents.record import Record
from agents.run import run
from pbg_env import AnswerLog, HumanOracle, Preference, PreferencePairsEnv, SoundMedium, load_generator
from pbg_env.generators.base import Generator
from tests.web.client import PageUser
from tests.web.conftest import Colours

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with Playwright, which is missing")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Debian's chromium, which is missing")

ANSWERS = {"ArrowLeft": "left", "1": "left", "ArrowRight": "right", "2": "right"} | {
    key: choice
    for choice, names in {"both_good": ("ArrowUp", "3"), "both_bad": ("ArrowDown", "4")}.items()
    for key in names
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Containers run as root, where chromium has no sandbox.
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    # Nothing on the page may go wrong unseen, and nothing may come from elsewhere.
    problems: list[str] = []
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on(
        "console",
        lambda line: problems.append(line.text) if line.type == "error" and "net::" not in line.text else None,
    )
    context.problems = problems
    yield context
    context.close()
    assert [text for text in problems if not re.search(r"status of (409|507|400)", text)] == []


class Search:
    """A search of random pairs in a thread, whose page is at `address`."""

    def __init__(self, folder: Path, meanwhile: Callable[..., Future[Any]], generator: Generator, most: int) -> None:
        self.folder = folder
        self.human = HumanOracle(open_browser=False)
        self.env = PreferencePairsEnv(
            1, generator, oracle=self.human, goal=None, max_queries=most, render_mode="rgb_array"
        )
        record = Record(folder, generator.media, {}, person=True)
        self.done = meanwhile(run, RandomSearch(), self.env, record, 0, quiet=True)

    @property
    def address(self) -> str:
        return self.human.address

    def rows(self) -> list[dict[str, Any]]:
        return list(AnswerLog(self.folder / "answers.sqlite", write=False).everything())

    def choices(self) -> list[str]:
        """What was chosen on the page, as the log has it."""
        names = {Preference.BOTH_GOOD: "both_good", Preference.BOTH_BAD: "both_bad"}
        return [
            names.get(row["preference"])
            or ("left" if (row["preference"] == Preference.FIRST) == row["first_is_left"] else "right")
            for row in self.rows()
        ]


@pytest.fixture
def search(tmp_path: Path, meanwhile: Callable[..., Future[Any]], colours: Colours) -> Iterator[Callable[..., Search]]:
    begun: list[Search] = []

    def begin(most: int = 50, generator: Generator = colours) -> Search:
        begun.append(Search(tmp_path / f"run{len(begun)}", meanwhile, generator, most))
        return begun[-1]

    yield begin
    for one in begun:
        one.env.close()
        one.done.exception(timeout=20)


def opened(context: Any, search: Search) -> Any:
    page = context.new_page()
    page.goto(search.address)
    question(page)
    return page


def question(page: Any, other_than: str | None = None) -> str:
    """The question, as soon as both media of it are on screen."""
    page.wait_for_function(
        "before => document.body.dataset.question && document.body.dataset.question !== before",
        arg=other_than,
        timeout=20_000,
    )
    page.wait_for_selector("[data-choice='left']:enabled", timeout=20_000)
    return str(page.evaluate("document.body.dataset.question"))


def press(page: Any, key: str) -> str:
    before = question(page)
    page.keyboard.press(key)
    return question(page, before)


def test_a_whole_session_by_keys(context: Any, search: Callable[..., Search]) -> None:
    begun = search(most=9)
    page = opened(context, begun)
    pressed = list(ANSWERS)
    while page.locator("#ended").is_hidden():
        before = question(page)
        page.keyboard.press(pressed[len(begun.rows()) % 8])
        page.wait_for_function(
            "before => document.body.dataset.question !== before || !document.getElementById('ended').hidden",
            arg=before,
        )
    assert begun.choices() == [ANSWERS[pressed[number % 8]] for number in range(len(begun.rows()))]
    assert page.locator("#why").inner_text() == "All answers are given."
    assert page.locator("#total").inner_text() == "After 9 answers."
    assert "You chose the one on the left in" in page.locator("#consistency").inner_text()
    summary = begun.done.result(timeout=20)
    assert (summary.queries, summary.stopped_because) == (9, "budget")
    page.wait_for_selector("#files button >> text=destination.webp")
    names = [name.removeprefix("⤓ ") for name in page.locator("#files button").all_inner_texts()]
    assert names == [
        "found.png",
        "noise.npy",
        "progress.png",
        "questions.png",
        "destination.webp",
        "answers.sqlite",
        "answers.parquet",
    ]
    with page.expect_download() as download:
        page.click("#files button >> text=noise.npy")
    assert download.value.suggested_filename == "noise.npy"
    np.testing.assert_array_equal(np.load(download.value.path()), np.load(begun.folder / "destination.npy"))
    page.click("#finish")
    page.wait_for_selector("text=Thank you. This page can be closed.")
    begun.human.wait_until_left()


def test_a_whole_session_by_clicks(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    for choice in ("left", "right", "both_good", "both_bad", "left"):
        before = question(page)
        page.click(f"[data-choice='{choice}']")
        question(page, before)
        # Slower than a double click.
        time.sleep(0.4)
    assert begun.choices() == ["left", "right", "both_good", "both_bad", "left"]
    assert page.locator("#count").inner_text() == "5 answers of at most 50"
    page.click("#undo")
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('4 answers')")
    assert begun.rows()[4]["retracted_at"] is not None
    question(page)
    page.click("aside [data-accept='destination']")
    page.wait_for_selector("#ended:not([hidden])")
    assert page.locator("#why").inner_text() == "You have found it."
    assert begun.done.result(timeout=20).stopped_because == "satisfied"
    assert begun.human.address.startswith("http://127.0.0.1:")


def test_a_held_key_and_a_double_click_are_one_answer(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    before = question(page)
    # Playwright repeats a key that is pressed down again, as a held one does.
    for _ in range(15):
        page.keyboard.down("ArrowLeft")
    after = question(page, before)
    for _ in range(15):
        page.keyboard.down("ArrowLeft")
    page.keyboard.up("ArrowLeft")
    time.sleep(0.3)
    assert question(page) == after
    assert len(begun.rows()) == 1
    page.dblclick("[data-choice='right']")
    last = question(page, after)
    time.sleep(0.5)
    assert question(page) == last
    assert len(begun.rows()) == 2
    # A held Enter on a focused button.
    page.focus("[data-choice='both_good']")
    for _ in range(15):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    question(page, last)
    time.sleep(0.3)
    assert len(begun.rows()) == 3


def test_keys_with_modifiers_in_fields_and_dialogs_are_no_answers(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    first = question(page)
    for key in ("Control+ArrowLeft", "Shift+1", "Alt+3", "x"):
        page.keyboard.press(key)
    page.evaluate("document.querySelector('h1').append(document.createElement('input'))")
    page.focus("h1 input")
    page.keyboard.press("1")
    page.click("#open-keys")
    page.keyboard.press("2")
    time.sleep(0.3)
    assert question(page) == first
    assert begun.rows() == []
    # A key of one's own, which is kept when the page is loaded again.
    page.click("[data-remap='both_bad']")
    page.keyboard.press("b")
    page.click("#keys button >> text=Done")
    assert page.locator("kbd[data-key='both_bad']").inner_text() == "B"
    page.reload()
    press(page, "b")
    page.keyboard.press("ArrowDown")
    time.sleep(0.3)
    assert begun.choices() == ["both_bad"]


def test_no_answer_before_both_media_are_on_screen(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = context.new_page()
    wanted = PageUser(begun.address).wait("question")["question"]["right"]["picture"]
    held: list[Any] = []
    page.route(f"**/media/{wanted}", lambda route: held.append(route))
    page.goto(begun.address)
    page.wait_for_function("() => document.getElementById('left').naturalWidth > 0")
    for _ in range(5):
        page.keyboard.press("1")
        page.wait_for_timeout(50)
    assert page.locator("[data-choice='left']").is_disabled()
    assert held
    for route in held:
        route.continue_()
    question(page)
    assert begun.rows() == []
    press(page, "1")
    assert len(begun.rows()) == 1


def test_reload_in_the_middle_and_two_tabs(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    one = opened(context, begun)
    press(one, "1")
    before = question(one)
    one.reload()
    assert question(one) == before, "the same question stays"
    two = opened(context, begun)
    assert question(two) == before
    one.keyboard.press("2")
    after = question(two, before)
    assert question(one, before) == after
    assert begun.choices() == ["left", "right"]
    # Both at once: one of them is first, and the other's comes too late.
    stale = (
        "key => fetch('/answer', {method: 'POST', headers: {'x-pbg-token': location.hash.slice(1)}, "
        "body: JSON.stringify({key: Number(key), choice: 'left', seconds: 1})}).then(answer => answer.status)"
    )
    assert two.evaluate(stale, before) == 409
    press(two, "3")
    assert begun.choices() == ["left", "right", "both_good"]


def test_a_lost_connection_and_its_return(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    before = press(page, "1")
    context.set_offline(True)
    page.keyboard.press("2")
    page.wait_for_selector("text=your last answer is not stored yet; trying again")
    assert begun.choices() == ["left"]
    context.set_offline(False)
    question(page, before)
    page.wait_for_selector("#problem", state="hidden")
    assert begun.choices() == ["left", "right"]


def test_a_full_disk_is_said_and_the_answer_can_be_given_again(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    before = press(page, "1")
    log: Any = begun.human.log
    with log._guard:
        pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
        log._connection.execute(f"PRAGMA max_page_count = {pages}")
    # Small media fit into what is left of the last page for a while.
    for _ in range(60):
        page.keyboard.press("2")
        with suppress(playwright.TimeoutError):
            before = question(page, before) if page.locator("#problem").is_hidden() else before
        if page.locator("#problem").is_visible():
            break
    assert "make room there and answer again, nothing is lost" in page.locator("#problem").inner_text()
    stored = len(begun.rows())
    with log._guard:
        log._connection.execute("PRAGMA max_page_count = 100000")
    question(page)
    page.keyboard.press("2")
    question(page, before)
    assert len(begun.rows()) == stored + 1
    assert page.locator("#problem").is_hidden()


def test_undo_enlarge_and_start_again(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = opened(context, begun)
    assert page.locator("#undo").is_disabled()
    for key in "1234":
        press(page, key)
    for left in (3, 2):
        before = question(page)
        page.keyboard.press("z")
        page.wait_for_function(f"() => document.getElementById('count').textContent.startsWith('{left} answers')")
        question(page, before)
    assert [row["retracted_at"] is None for row in begun.rows()] == [True, True, False, False]
    page.keyboard.press("f")
    assert page.locator("aside").is_hidden()
    assert page.locator("#enlarge").get_attribute("aria-pressed") == "true"
    page.keyboard.press("f")
    before = question(page)
    page.click("#restart")
    page.click("#sure-restart button >> text=Go on as it is")
    assert question(page) == before
    page.click("#restart")
    page.click("#sure-restart button >> text=Start again")
    question(page, before)
    assert page.locator("#count").inner_text() == "0 answers of at most 50"
    assert not any(row["stands"] for row in begun.rows())


def test_a_target_beside(context: Any, search: Callable[..., Search], tmp_path: Path) -> None:
    from PIL import Image

    page = opened(context, search())
    Image.new("RGB", (40, 40), "teal").save(tmp_path / "target.png")
    page.set_input_files("#upload", tmp_path / "target.png")
    page.wait_for_function("() => document.getElementById('target').naturalWidth === 40")
    page.click("#no-target")
    page.wait_for_selector("#aim", state="hidden")
    (tmp_path / "target.txt").write_text("no picture")
    page.set_input_files("#upload", tmp_path / "target.txt")
    page.wait_for_selector("#problem >> text=no picture that can be read")


def test_sounds_are_played(context: Any, search: Callable[..., Search]) -> None:
    generator = load_generator("tones", device="cpu")
    assert isinstance(generator.media, SoundMedium)
    begun = search(generator=generator)
    page = opened(context, begun)
    page.evaluate("() => { window.played = []; Audio.prototype.play = function () { played.push(this.src); }; }")
    page.keyboard.press(" ")
    page.wait_for_function("() => played.length === 1")
    page.keyboard.press(" ")
    page.wait_for_function("() => played.length === 2")
    page.click("[data-play='left']")
    page.wait_for_function("() => played.length === 3")
    left, right, again = page.evaluate("played")
    assert left == again != right
    assert left.startswith("blob:")
    assert begun.rows() == [], "space plays, it does not answer"
    press(page, "1")
    assert begun.rows()[0]["first_media"].type == "audio/wav"


def test_without_the_token_the_page_says_what_to_do(context: Any, search: Callable[..., Search]) -> None:
    begun = search()
    page = context.new_page()
    page.goto(begun.address.partition("#")[0])
    page.wait_for_selector("#problem >> text=open the address that was printed")
    context.problems.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_enough_contrast_and_a_visible_focus(
    browser: Any, search: Callable[..., Search], scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = opened(context, search())
    page.wait_for_selector("#destination")
    found = page.evaluate(CONTRAST)
    assert found["nameless"] == []
    assert found["contrasts"]
    assert {name: ratio for name, ratio in found["contrasts"].items() if ratio < 4.5} == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing runs out of a phone's screen"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    context.close()


# Every visible control's name, and the contrast of every visible text (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const seen = (element) => element.checkVisibility();
  const contrasts = {};
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !seen(element)) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    contrasts[element.textContent.trim().slice(0, 30)] = (a + 0.05) / (b + 0.05);
  }
  const nameless = [...document.querySelectorAll('button, input, img, meter')].filter(seen).filter((element) =>
    !(element.textContent.trim() || element.alt || element.getAttribute('aria-label') || element.labels?.length));
  return { contrasts, nameless: nameless.map((element) => element.outerHTML) };
}"""
