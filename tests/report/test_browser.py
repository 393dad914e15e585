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
CURVES = "#curves .panel:has(text:has-text('mnist-mlp'))"


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
    tab.wait_for_selector("#labels .near li")
    yield tab
    tab.close()
    assert complaints == []


def texts(page: Any, selector: str) -> list[str]:
    return [str(text) for text in page.locator(selector).all_text_contents()]


def choose_animals(page: Any) -> str:
    page.select_option("#view-chooser", label="mnist-mlp, label embedding, mean of 2 seeds")
    return ".view:not([hidden])"


def test_says_what_was_found(page: Any) -> None:
    cards = texts(page, ".card")
    assert any("2.50\u00a0% → 2.00\u00a0%" in card and "0.50 points lower on each of 2 pairs" in card for card in cards)
    assert any("Only label embedding (1 seed) so far" in card for card in cards)
    assert page.locator(".means").count() == 0, "two pairs of runs show nothing"


def test_search_returns_the_most_similar_labels(page: Any) -> None:
    view = choose_animals(page)
    page.fill(f"{view} input", "CAT")
    assert texts(page, f"{view} .name") == ["dog", "car", "truck"]
    assert texts(page, f"{view} .value") == ["30.0 %", "6.00 %", "4.00 %"]
    assert "mean of 2 seeds" in page.inner_text(f"{view} .status")
    page.fill(f"{view} input", "tru")
    assert texts(page, f"{view} .name")[0] == "car"
    page.fill(f"{view} input", "a")
    assert "cat, car" in page.inner_text(f"{view} .status")
    page.fill(f"{view} input", "zebra")
    assert texts(page, f"{view} .name") == []
    page.fill(f"{view} input", "dog")
    page.click(f"{view} ol button")
    assert page.input_value(f"{view} input") == "cat"


def test_bars_are_shares_of_one(page: Any) -> None:
    view = choose_animals(page)
    page.fill(f"{view} input", "cat")
    bar, filled = (page.locator(f"{view} {selector}").first.bounding_box()["width"] for selector in (".bar", ".bar i"))
    assert filled / bar == pytest.approx(0.3, abs=0.01)


def test_hostile_names_are_text(page: Any) -> None:
    page.select_option("#view-chooser", label="hostile, label embedding, 1 seed")
    page.fill(".view:not([hidden]) input", "one")
    assert texts(page, ".view:not([hidden]) .name")[0] == HOSTILE
    assert page.title() == "Label embedding report"
    assert page.locator("img").count() == 0


def test_methods_and_quantities_can_be_chosen(page: Any) -> None:
    lines = f"{CURVES} .chart:not([hidden]) g[id$='-mean']"
    assert page.locator(f"{lines}:visible").count() == 2
    page.uncheck("#curves .controls label:has-text('one-hot')")
    assert page.locator(f"{lines}:visible").count() == 1
    page.check("#curves .controls label:has-text('one-hot')")
    page.locator(f"{CURVES} select").select_option("validation error, %")
    assert page.locator(lines).count() == 1  # only the baseline has one here


def test_values_by_pointer_and_by_key(page: Any) -> None:
    panel = page.locator(CURVES)
    drawing = panel.locator(".chart:not([hidden]) svg")
    drawing.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert "Epoch 3: one-hot 2.5 (mean of 2 seeds) · label embedding 2" in panel.locator(".readout").inner_text()
    box = drawing.bounding_box()
    drawing.hover(position={"x": 0.2 * box["width"], "y": 60})
    assert "Epoch 1: one-hot 4 " in panel.locator(".readout").inner_text()


def test_values_of_the_heat_map(page: Any) -> None:
    panel = page.locator(f"{choose_animals(page)} .panel").first
    panel.locator("select").select_option("order as given")
    drawing = panel.locator(".chart:not([hidden]) svg")
    drawing.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft"):  # from the top right corner to the second column
        page.keyboard.press(key)
    assert panel.locator(".readout").inner_text() == "The soft label of “cat” gives “cat” 60 %"
    page.keyboard.press("ArrowRight")
    assert panel.locator(".readout").inner_text() == "The soft label of “cat” gives “dog” 30 %"


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
def test_nothing_sticks_out(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(page.screenshot(full_page=True)) > 30_000
    colors = page.evaluate("[...document.querySelectorAll('.chart text')].map(t => getComputedStyle(t).fill)")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colors
    assert paper not in colors, "text in the color of the page"
