"""The report in a browser, opened from disk: it filters, unfolds, fits a phone, and runs nothing that a model wrote."""

import shutil

import pytest

from stages.report import page as report
from tests.test_report import HOSTILE, context, row, sample

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (Debian: apt-get install chromium)"),
]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LONG = "W" * 3_000


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A report of 20 harmless questions, and as many as there are hostile texts."""
    rows = sample() + [
        row(
            "hostile",
            f"<think>\n{text}\n</think>\n{text}",
            f"{text} 3",
            id=str(place),
            question=text,
            reasoning=text,
            finish_reason="length",
        )
        for place, text in enumerate([*HOSTILE, LONG])
    ]
    options = {"A": "أموكسيسيلين 500 mg", "B": "阿莫西林"}
    rows.append(row("hostile", "ما العلاج؟\nIt is (A).", "A", kind="choice", options=options, answer="A", id="rtl"))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report.html(context(rows)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, url):
    """Open the report; whatever it asks for or complains of fails the test."""
    contexts, seen = [], []

    def open_(viewport=DESKTOP, **options):
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: seen.append(request.url) if request.url != url else None)
        page.on("dialog", lambda dialog: seen.append(dialog.message))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("console", lambda message: seen.append(message.text))
        page.goto(url)
        return page

    yield open_
    for one in contexts:
        one.close()
    assert seen == []


def shown(page):
    return page.locator("#questions .question:visible").count()


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A report of five sets, four samples a question, with every study: the most that a first screen holds."""
    names = ["medqa", "medmcqa", "pubmedqa", "mmlu_clinical_knowledge", "heldout"]
    options, bad, good = {"A": "Aspirin", "B": "Heparin"}, "Who knows?", "Answer: A"
    rows = [
        row(name, [bad, bad, good, "Answer: B"], [good, good, bad, good], kind="choice", options=options, answer="A",
            asked="B", id=f"{name}-{place}")
        for name in names
        for place in range(2)
    ]  # fmt: skip
    gain = {"verdict": "no difference shown", "diff": -0.123, "ci_low": -0.123, "ci_high": 0.123, "sd": 0.123}
    gain |= {"own_sd": 0.123, "next_low": -0.123, "next_high": 0.123}
    studies = {"control": {"sets": {name: {"diff": 0.123} for name in names}}}
    studies["seeds"] = {"seeds": [1, 2, 3], "sets": {name: {"recipe": gain} for name in names}}
    path = tmp_path_factory.mktemp("five") / "report.html"
    path.write_text(report.html(context(rows, studies=studies)), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize(
    ("viewport", "seen"), [({"width": 1280, "height": 800}, ".verdicts"), ({"width": 390, "height": 844}, "h1")]
)
def test_the_verdict_on_five_sets_is_on_the_first_screen(browser, five, viewport, seen):
    page = browser.new_page(viewport=viewport)
    page.goto(five)
    box = page.locator(seen).bounding_box()
    assert box["y"] + box["height"] <= viewport["height"]
    assert page.locator(".verdicts tbody").first.bounding_box()["y"] < viewport["height"] / 2
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    said = page.locator(".verdicts tbody").first
    assert said.get_by_text("as asked").is_visible()
    assert said.get_by_text("as written").is_visible()
    page.close()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, PHONE])
def test_one_set_is_told_whole_on_the_first_screen(browser, tmp_path, viewport):
    path = tmp_path / "report.html"
    path.write_text(report.html(context(sample())), encoding="utf-8")
    page = browser.new_page(viewport=viewport)
    page.goto(path.as_uri())
    box = page.locator(".notes").bounding_box()
    assert box["y"] + box["height"] <= viewport["height"]
    page.close()


def test_samples_unfold_one_by_one(browser, five):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(five)
    page.get_by_role("button", name="Unfold reasoning").click()
    others = page.locator("#q1 .arm").first.locator("details.sample")
    assert others.count() == 3
    assert not others.nth(1).get_by_text("Answer: A").is_visible()
    others.nth(1).get_by_text("Sample 3").click()
    assert others.nth(1).get_by_text("Answer: A").is_visible()
    page.close()


def test_what_a_model_wrote_is_shown_and_not_run(opened):
    page = opened()
    page.get_by_role("button", name="Unfold reasoning").click()
    page.mouse.move(600, 400)
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    assert page.locator("script, style, h1").count() == 3
    assert page.locator("img, iframe, object, [onerror], [onmouseover], [onfocus]").count() == 0
    for number, place, text in (
        (21, ".response", "<script>window.pwned=1</script>"),
        (22, ".response", '<img src="https://example.org/x.png" onerror="window.pwned=1">'),
        (23, ".arm details .text", "</details></article></main><h1>pwned</h1>"),
    ):
        box = page.locator(f"#q{number} {place}").first
        box.evaluate("one => one.scrollIntoView()")
        sync_api.expect(box).to_contain_text(text, use_inner_text=True)
        sync_api.expect(box).to_be_in_viewport()
    assert page.locator("main #limits").is_visible()


def test_filters_change_what_is_shown(opened):
    page = opened()
    total = 20 + len(HOSTILE) + 2
    assert shown(page) == total
    assert page.locator(".shown").inner_text() == f"{total} of {total} shown"
    page.get_by_label("Broken").check(force=True)
    assert shown(page) == 1
    page.get_by_label("Fixed").check(force=True)
    fixed = shown(page)
    assert 12 <= fixed < total
    page.get_by_label("Set").select_option("heldout")
    assert shown(page) == 12
    page.get_by_label("Cut off").check(force=True)
    assert shown(page) == 0
    assert page.get_by_text("No question is of this kind.").is_visible()
    page.get_by_label("Set").select_option("hostile")
    assert shown(page) == fixed - 12


def test_filters_work_from_the_keyboard(opened):
    page = opened()
    page.locator("input[name=outcome]").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("Broken").is_checked()
    assert shown(page) == 1


def test_a_count_at_the_top_leads_to_its_questions(opened):
    page = opened()
    page.get_by_role("link", name="Broken").click()
    assert page.evaluate("location.hash") == "#questions"
    assert shown(page) == 1


def test_a_reasoning_unfolds(opened):
    page = opened()
    answer = page.locator("#q1 .arm").nth(1)
    reasoning = answer.get_by_text("1 + 2 = 3")
    assert not reasoning.is_visible()
    answer.get_by_text("Reasoning, 5 words").click()
    assert reasoning.is_visible()
    assert answer.get_by_text("states 3").is_visible()


def test_a_phone_shows_all_without_scrolling_sideways(opened):
    page = opened(PHONE)
    page.get_by_role("button", name="Unfold reasoning").click()
    for details in page.locator("details").all()[-2:]:
        details.evaluate("one => { one.open = true }")
    page.evaluate("document.querySelectorAll('.question').forEach(one => one.scrollIntoView())")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    before, after = (page.locator("#q1 .arm").nth(place).bounding_box() for place in (0, 1))
    assert after["y"] >= before["y"] + before["height"]


def test_dark_is_dark_and_paper_is_light(opened):
    light, dark = (opened(color_scheme=scheme) for scheme in ("light", "dark"))
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    line = "getComputedStyle(document.querySelector('.chart .stroke-ink, .chart .stroke-better')).stroke"
    assert min(light.evaluate(background)[:3]) > 200
    assert max(dark.evaluate(background)[:3]) < 60
    assert light.evaluate(line) != dark.evaluate(line)
    dark.emulate_media(media="print", color_scheme="dark")
    assert dark.evaluate("getComputedStyle(document.body).color") == light.evaluate(
        "getComputedStyle(document.body).color"
    )
    assert not dark.locator(".filters").is_visible()


def test_without_scripts_every_question_is_there(opened):
    page = opened(java_script_enabled=False)
    assert shown(page) == 20 + len(HOSTILE) + 2
    assert not page.locator(".filters").is_visible()
    page.locator("#q1 .arm").nth(1).get_by_text("Reasoning, 5 words").click()
    assert page.locator("#q1 .arm").nth(1).get_by_text("1 + 2 = 3").is_visible()


def test_each_line_and_each_option_has_a_direction_of_its_own(opened):
    page = opened()
    question = page.locator("#questions .question").last
    lines = """box => [0, box.textContent.indexOf("\\n") + 1].map(start => {
        const at = place => {
            const range = document.createRange();
            range.setStart(box.firstChild, place);
            range.setEnd(box.firstChild, place + 1);
            return range.getBoundingClientRect().x;
        };
        return at(start) < at(start + 5);
    })"""
    assert question.locator(".response").first.evaluate(lines) == [False, True]
    option = "one => [...one.querySelectorAll('bdi')].map(part => getComputedStyle(part).direction)"
    assert question.locator(".truth").evaluate(option) == ["ltr", "rtl"]
