"""The page in a real browser: Debian's chromium, headless, driven by playwright's client."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelemb.report import Report, make_report
from tests.report.conftest import ANIMAL_ROWS, ANIMALS, soft, write

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).is_file(), reason="no chromium (apt-get install chromium)"),
]

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        yield context
        context.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    runs = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        write(runs, "cross_entropy", seed, test=[4.0, 3.0, 2.0 + seed], valid=[4.0, 3.0, 2.0])
        write(runs, "label_embedding", seed, test=[3.0, 2.0, 1.5 + seed], logits=soft(*ANIMAL_ROWS), names=ANIMALS)
    logits = soft([0.5, 0.4, 0.1], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6])
    write(runs, "label_embedding", 0, test=[9.0, 8.0], task="hostile", logits=logits, names=["one", HOSTILE, "three"])
    return make_report([runs], tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(browser: Any, report: Report) -> Iterator[Any]:
    tab = browser.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
    )
    tab.set_viewport_size({"width": 1200, "height": 900})
    tab.goto(report.page.as_uri())
    tab.wait_for_selector("#tree svg path.branch")
    yield tab
    tab.close()
    assert complaints == []


def texts(page: Any, selector: str) -> list[str]:
    return [str(text) for text in page.locator(selector).all_text_contents()]


def choose_animals(page: Any) -> None:
    page.select_option("#label-source select", label="mnist-mlp, label embedding")


def test_says_what_was_found(page: Any) -> None:
    cards = texts(page, ".card")
    assert any("2.50 % → 2.00 %" in card and "0.50 points lower on each of 2 pairs of runs" in card for card in cards)
    assert any("Only label embedding (1 seed) so far" in card for card in cards)


def test_search_returns_the_neighbours(page: Any) -> None:
    choose_animals(page)
    page.fill("#near-query", "CAT")
    assert texts(page, "#near-list .name") == ["dog", "car", "truck"]
    assert texts(page, "#near-list .value") == ["30.0 %", "6.00 %", "4.00 %"]
    assert "mean of 2 seeds" in page.inner_text("#near-status")
    page.fill("#near-query", "tru")
    assert texts(page, "#near-list .name")[0] == "car"
    page.fill("#near-query", "a")
    assert "cat, car" in page.inner_text("#near-status")
    page.fill("#near-query", "zebra")
    assert texts(page, "#near-list .name") == []
    page.fill("#near-query", "dog")
    page.click("#near-list button")
    assert page.input_value("#near-query") == "cat"


def test_hostile_names_are_text(page: Any) -> None:
    page.fill("#near-query", "one")
    assert texts(page, "#near-list .name")[0] == HOSTILE
    assert page.title() == "Label embedding report"
    assert page.locator("img").count() == 0


def test_lines_can_be_switched_off(page: Any) -> None:
    curves = "#curves .panel:has(h3:text('mnist-mlp'))"
    assert (page.locator(f"{curves} path.seed").count(), page.locator(f"{curves} path.mean").count()) == (4, 2)
    page.uncheck("text=a line per seed")
    assert (page.locator(f"{curves} path.seed").count(), page.locator(f"{curves} path.mean").count()) == (0, 2)
    page.uncheck("#curves .controls label:has-text('one-hot')")
    assert page.locator(f"{curves} path.mean").count() == 1
    page.check("#curves .controls label:has-text('one-hot')")
    page.select_option("#curves select", label="validation error, %")
    assert page.locator(f"{curves} path.mean").count() == 1  # only the baseline has one here


def test_values_by_pointer_and_by_key(page: Any) -> None:
    panel = page.locator("#curves .panel:has(h3:text('mnist-mlp'))")
    panel.locator("svg").focus()
    page.keyboard.press("ArrowLeft")
    assert "Epoch 3: one-hot 2.50 (2 seeds, 2.00 to 3.00)" in panel.locator(".readout").inner_text()
    panel.locator("svg").hover(position={"x": 46, "y": 60})
    assert "Epoch 1: one-hot 4.00" in panel.locator(".readout").inner_text()


def test_heat_map_hover_zoom_order_and_own_labels(page: Any) -> None:
    choose_animals(page)
    canvas = page.locator("#heat canvas")
    box = canvas.bounding_box()

    def picture() -> str:
        return str(canvas.evaluate("canvas => canvas.toDataURL()"))

    canvas.hover(position={"x": box["width"] / 2, "y": 20})
    assert "soft label of" in page.inner_text("#heat .readout")
    page.mouse.move(0, 0)
    pictures = [picture()]
    page.check("#heat label:has-text('show own labels')")
    pictures.append(picture())
    page.select_option("#heat select", "given")
    pictures.append(picture())
    assert len(set(pictures)) == 3
    canvas.hover(position={"x": 60, "y": 20})
    assert page.inner_text("#heat .readout") == "The soft label of “cat” keeps for itself 60.0 %"
    canvas.click(position={"x": 60, "y": 20})
    assert page.input_value("#near-query") == "cat"


def test_heat_map_zooms_into_many_labels(page: Any) -> None:
    page.evaluate("""() => {
      const size = 40, names = [...Array(size).keys()].map(String);
      const matrix = names.map((_, i) => names.map((_, j) => (i === j ? 50000 : 10 * (i + j))));
      const near = names.map(() => [["1", 0.1]]);
      const heat = new HeatMap(find("#heat canvas"), find("#heat .readout"), () => {});
      heat.show({ names, matrix, near, clustered: names.map(Number), source: "many" });
      window.heat = heat;
    }""")
    canvas = page.locator("#heat canvas")
    canvas.focus()
    for _ in range(20):
        page.keyboard.press("+")
    assert page.evaluate("heat.window.size") == 5
    page.keyboard.press("ArrowRight")
    assert page.evaluate("heat.window.x") > 17.5
    page.keyboard.press("0")
    assert page.evaluate("heat.window.size") == 40


def test_table_sorts(page: Any) -> None:
    assert page.locator("#results th[scope=col]").count() == 8
    page.click("#results th button:text('last epoch')")
    means = [float(text.split(" ")[0]) for text in texts(page, "#results tbody td:nth-child(4)")]
    assert means == sorted(means)
    page.click("#results th button:text('last epoch')")
    assert page.get_attribute("#results th[aria-sort]", "aria-sort") == "descending"
    reverse = [float(text.split(" ")[0]) for text in texts(page, "#results tbody td:nth-child(4)")]
    assert reverse == means[::-1]


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1200, "dark")])
def test_a_screenshot_is_not_empty_and_nothing_sticks_out(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(page.screenshot(full_page=True)) > 30_000
    colours = page.evaluate("""() => {
      const canvas = document.querySelector("#heat canvas");
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const seen = new Set();
      for (let i = 0; i < pixels.length; i += 4) seen.add(`${pixels[i]},${pixels[i + 1]},${pixels[i + 2]}`);
      return seen.size;
    }""")
    assert colours > 10
