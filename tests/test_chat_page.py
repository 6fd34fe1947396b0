"""The page of `make chat` in a browser: it streams, stops, unfolds, compares, follows up, queues, and asks no host."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from stages.chat import arms, emergency, examples, saved, texts, turns
from stages.chat.answer import Answer
from stages.data.dataset import Cleaner
from stages.data.prompts import Formatter
from stages.data.sources import local_files
from stages.evaluate import thinking
from stages.files.errors import UserError
from stages.generate import answers
from stages.params.__main__ import edited
from stages.report.display import clean
from tests.conftest import ROOT, save_adapter
from tests.test_report import HOSTILE
from tests.test_report_browser import ARGUMENTS, BROWSER, DESKTOP, PHONE

gradio = pytest.importorskip("gradio", reason="gradio is not installed: make install-use")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (Debian: apt-get install chromium)"),
]
ROWS = [
    {"id": "1", "set": "heldout", "kind": "number", "split": "validation", "question": "How many?", "answer": "3",
     "reasoning": "One and two.", "response": "It is 3."},
    {"id": "2", "set": "heldout", "kind": "number", "split": "test", "question": "Never shown?", "answer": "4",
     "reasoning": "Two and two.", "response": "It is 4."},
    {"id": "3", "set": "medqa", "kind": "choice", "split": "validation", "question": "Which?", "answer": "B",
     "options": {"A": "Aspirin", "B": "Heparin"}},
    {"id": "4", "set": "free", "kind": "open", "question": "Why?"},
]  # fmt: skip
SLOW = "slow "  # a question that begins so is answered in half a minute


class Script:
    """Answers in place of a model: what was asked, what ended, and what a question is answered by."""

    def __init__(self, real):
        self.real, self.asked, self.closed, self.texts = real, [], [], {}

    def __call__(self, models, params, question, histories=None, settings=None):
        if question not in self.texts and not question.startswith(SLOW):
            return self.real(models, params, question, histories, settings)
        return self.written(models, question, histories, settings)

    def written(self, models, question, histories, settings):
        self.asked.append((question, histories, settings))
        text = self.texts.get(question, "<think>\n" + "hum " * 100 + "\n</think>\n" + "word " * 300)
        step = 8 if question.startswith(SLOW) else max(8, len(text) // 4)
        try:
            for end in range(step, len(text) + step, step):
                state, reasoning, reply = thinking.split(text[:end])
                reason = None if end < len(text) else "length" if question.startswith("cut") else "stop"
                yield dict.fromkeys(models, Answer(text[:end], reasoning, reply, state, end, 1.0, reason))
                time.sleep(0.15 if question.startswith(SLOW) else 0.01)
        finally:
            self.closed.append(question)


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """Two pages over the tiny model: with an adapter, and before there is one."""
    from stages.chat import page, replies

    place = tmp_path_factory.mktemp("chat")
    with contextlib.chdir(place), pytest.MonkeyPatch.context() as patch:
        alone = page.build(tiny, arms.load(tiny))
        (place / "data/raw").mkdir(parents=True)
        (place / "data/raw/heldout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        save_adapter(tiny, place / "models/adapter")
        models = arms.load(tiny)
        script = Script(replies.side_by_side)
        patch.setattr(replies, "side_by_side", script)
        pages = [page.build(tiny, models), alone]
        url, before = map(page.launch, pages)
        yield SimpleNamespace(url=url, before=before, script=script, place=place, models=models, params=tiny)
        for one in pages:
            one.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, served):
    """Open the page; a request to another host, a dialog or an error fails the test."""
    contexts, seen = [], []

    def open_(viewport=DESKTOP, url=served.url, **options):
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        own = (url, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(own) or seen.append(request.url))
        page.on("dialog", lambda dialog: seen.append(dialog.message))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("console", lambda message: message.type == "error" and seen.append(message.text))
        page.goto(url)
        page.locator("#question textarea").wait_for()
        return page

    yield open_
    for one in contexts:
        one.close()
    assert seen == []


def ask(page, question, state="done"):
    """Ask, and wait until the question's answers are `state`; returns its article."""
    number = page.locator("article").count()
    page.locator("#question textarea").fill(question)
    page.locator("#question textarea").press("Enter")
    turn = page.locator("article").nth(number)
    reach(turn, state)
    return turn


def reach(turn, state):
    sync_api.expect(turn).to_have_attribute("data-state", state, timeout=20_000)


def test_both_models_answer_as_post_infer_does(opened, served):
    question = "What is it?"
    turn = ask(opened(), question)
    (row,) = Formatter(served.models["base"].tokenizer, served.params.prompt).examples(
        [{"id": "0", "set": "free", "kind": "open", "question": question}]
    )
    for name in ("base", "tuned"):
        (expected,) = answers.answer(served.models[name], [row], served.params, {})
        shown = turn.locator(f".is-{name} .reply").evaluate("one => one.textContent")
        assert shown == clean(thinking.split(expected["text"]).answer)
        assert (expected["finish_reason"] == "length") == ("cut off" in turn.locator(f".is-{name}").inner_text())
    assert turn.locator(".is-base .reply").inner_text() != turn.locator(".is-tuned .reply").inner_text()


def test_the_warning_and_the_two_models_are_seen_at_once(opened):
    page = opened()
    for seen in (
        page.get_by_text(texts.RESEARCH),
        page.get_by_text("Base model"),
        page.get_by_text("Fine-tuned model"),
    ):
        assert seen.first.bounding_box()["y"] < DESKTOP["height"] / 2
    ask(page, SLOW + "one", "writing")
    page.mouse.wheel(0, 3_000)
    sync_api.expect(page.get_by_text(texts.RESEARCH)).to_be_in_viewport()
    page.locator("#stop button, button#stop").click()


def test_what_is_unfolded_stays_unfolded_while_the_answer_grows(opened):
    page = opened()
    turn = ask(page, SLOW + "two", "writing")
    arm, other = turn.locator(".is-tuned"), turn.locator(".is-base")
    sync_api.expect(arm.locator(".reply")).to_have_text("Thinking …")
    assert not arm.locator(".thinking").is_visible()
    arm.get_by_role("checkbox").check()
    before = arm.locator(".thinking").inner_text()
    sync_api.expect(arm.locator(".thinking")).not_to_have_text(before)
    assert arm.locator(".thinking").is_visible()
    assert not other.locator(".thinking").is_visible()
    page.locator("#stop").click()
    reach(turn, "stopped")
    sync_api.expect(arm).to_contain_text("You stopped it here.")
    assert arm.get_by_role("checkbox").is_checked()


def test_a_stopped_or_a_left_conversation_frees_the_models(opened, served):
    page = opened()
    ask(page, SLOW + "three", "writing")
    page.locator("#stop").click()
    ask(page, "Is it free?")  # at once, before all that the first left has ended
    assert SLOW + "three" in served.script.closed
    left = opened()
    ask(left, SLOW + "four", "writing")
    left.close()
    ask(page, "Is there anybody?")
    assert SLOW + "four" in served.script.closed


def test_a_follow_up_gets_each_models_own_earlier_turns(opened, served):
    served.script.texts |= {"First?": "<think>\nhm\n</think>\nOne.", "Second?": "Two.", "Third?": "Three."}
    page = opened()
    ask(page, "First?")
    page.get_by_label("Fine-tuned alone").check()
    assert ask(page, "Second?").locator(".arm").count() == 1
    page.get_by_label("Both, side by side").check()
    ask(page, "Third?")
    _, histories, _ = served.script.asked[-1]
    assert histories == {"base": [("First?", "One.")], "tuned": [("First?", "One."), ("Second?", "Two.")]}
    page.locator("#new").click()
    sync_api.expect(page.locator("article")).to_have_count(0)
    ask(page, "Third?")
    assert served.script.asked[-1][1] == {"base": [], "tuned": []}


def test_two_people_queue_and_the_second_sees_where_it_stands(opened, served):
    served.script.texts["Me too? I have chest pain."] = "Yes."
    one, other = opened(), opened()
    first = ask(one, SLOW + "five", "writing")
    second = ask(other, "Me too? I have chest pain.", "waiting")
    assert second.get_by_role("alert").inner_text() == emergency.LINE  # before any model says a word
    sync_api.expect(other.locator("#queue")).to_contain_text("queue: 1/1")
    one.locator("#stop").click()
    reach(first, "stopped")
    reach(second, "done")


def test_what_is_asked_and_answered_is_shown_and_not_run(opened, served):
    page = opened()
    hostile = [one for one in HOSTILE if one.isprintable()]  # a request has no half of a surrogate pair
    for place, text in enumerate([*hostile, "${window.pwned=1} {{this}} **b** <|im_end|> [x](javascript:alert(1))"]):
        served.script.texts[text] = f"<think>\n{text}\n</think>\n{text}"
        turn = ask(page, text)
        turn.locator(".is-base").get_by_role("checkbox").check()
        for box in (".question", ".is-base .thinking", ".is-base .reply"):
            assert turn.locator(box).evaluate("one => one.textContent").strip() == clean(text).strip()
            assert turn.locator(f"{box} *").count() == 0
        assert page.locator("article").count() == place + 1
    page.mouse.move(600, 400)
    assert page.evaluate("window.pwned") is None


def test_twenty_thousand_words_are_refused_in_a_line_and_the_next_question_is_answered(opened):
    page = opened()
    turn = ask(page, "pain " * 20_000, "refused")
    assert "too long" in turn.get_by_role("alert").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    ask(page, "And now?")


def test_a_cut_answer_and_an_endless_thinking_say_so(opened, served):
    served.script.texts |= {"cut?": "It is a", "cut, and thinking?": "<think>\nIt may"}
    page = opened()
    sync_api.expect(ask(page, "cut?").locator(".is-base")).to_contain_text(texts.CUT_OFF.format(tokens=8))
    sync_api.expect(ask(page, "cut, and thinking?").locator(".is-base")).to_contain_text(texts.ONLY_THINKING)


def test_an_example_is_asked_as_the_pipeline_asks_it_and_its_right_answer_follows(opened, served):
    with contextlib.chdir(served.place):
        found = examples.read(served.params)
    assert [one.answer for one in found] == ["3", "B. Heparin", ""]
    served.script.texts[found[1].question] = "It is A."
    page = opened()
    page.locator("#example input").click()
    page.get_by_role("option", name="medqa: Which?").click()
    sync_api.expect(page.locator("#question textarea")).to_have_value(found[1].question)
    page.locator("#ask").click()
    turn = page.locator("article")
    reach(turn, "done")
    sync_api.expect(turn.locator(".right")).to_have_text("Right answer B. Heparin")


def test_other_settings_are_named_and_the_evaluated_ones_come_back(opened, served):
    served.script.texts["How?"] = "So."
    page, evaluated = opened(), served.params.generation
    page.locator("#sampling button").first.click()
    most = page.get_by_label("Tokens at most")
    sync_api.expect(most).to_have_value("12")
    most.fill("7")
    most.press("Tab")
    sync_api.expect(most).to_have_value("7")
    turn = ask(page, "How?")
    sync_api.expect(turn.locator(".settings")).to_contain_text("max_new_tokens 7 (evaluated: 12)")
    assert served.script.asked[-1][2] == evaluated.model_copy(update={"max_new_tokens": 7})
    page.locator("#reset").click()
    sync_api.expect(page.get_by_label("Tokens at most")).to_have_value("12")
    page.locator("#again").click()
    sync_api.expect(page.locator(".settings")).to_have_count(0)
    reach(page.locator("article"), "done")
    assert served.script.asked[-1] == ("How?", {"base": [], "tuned": []}, evaluated)


def test_a_retry_at_the_last_seed_takes_the_first(served):
    from stages.chat.replies import Replies
    from stages.chat.turns import Exchange

    with contextlib.chdir(served.place):
        replies = Replies(served.params, served.models)
    last = Exchange("Why?", ("base",), state="done")
    assert replies.again("base", [last], False, 1.0, 1.0, 5, 2**32 - 1)[0] == 0
    assert replies.again("base", [last], False, 1.0, 1.0, 5, None)[0] == served.params.generation.seed + 1


def test_a_picture_that_comes_after_the_stop_is_replaced(served):
    from stages.chat.replies import Replies
    from stages.chat.turns import Exchange

    with contextlib.chdir(served.place):
        replies = Replies(served.params, served.models)
    late = [Exchange("Why?", ("base",), state="writing")]
    assert replies.stopped(late) == (gradio.skip(), gradio.skip())  # another was asked since
    _, stopped, *_ = replies.stop(late)
    for kept in (late, stopped):  # what is kept may have come in another order than what is shown
        shown, (one,) = replies.stopped(kept)
        assert one.state == "stopped"
        assert turns.STOPPED in shown


def test_what_cannot_be_asked_is_told(opened, served):
    page = opened()
    page.locator("#question textarea").fill("  ")
    page.locator("#question textarea").press("Enter")
    sync_api.expect(page.get_by_text("Write a question first.")).to_be_visible()
    page.locator("#sampling button").first.click()
    page.get_by_label("Seed").fill("-1")
    page.locator("#question textarea").fill("Why?")
    page.locator("#ask").click()
    sync_api.expect(page.get_by_text("-1 is less than minimum value 0")).to_be_visible()
    assert page.locator("article").count() == 0


def test_what_cannot_be_kept_is_told_and_the_next_question_is_answered(opened, served, monkeypatch):
    monkeypatch.setattr(saved, "FOLDER", served.place / "file")
    saved.FOLDER.write_text("in the way")
    served.script.texts["Kept?"] = "No."
    page = opened()
    page.locator("#keep").get_by_role("checkbox").check()
    ask(page, "Kept?")
    sync_api.expect(page.get_by_text("cannot be written: File exists")).to_be_visible()
    page.locator("#keep").get_by_role("checkbox").uncheck()
    ask(page, "Kept?")


def test_the_verdict_is_shown_for_its_own_params_alone(tiny, tmp_path, monkeypatch):
    from stages.chat import about

    monkeypatch.chdir(tmp_path)
    save_adapter(tiny, about.ADAPTER)
    about.COMPARE.parent.mkdir()
    about.COMPARE.write_text("{}")
    files = [{"md5": about._md5(path), "relpath": path.name} for path in sorted(about.ADAPTER.iterdir())]
    folder = hashlib.md5(json.dumps(files, sort_keys=True).encode()).hexdigest()
    settings = tiny.model_dump(mode="json", include={"generation", "prompt"})
    post, md5 = {"path": about.POST, "md5": "a"}, about._md5(about.COMPARE)
    adapter = {"path": about.ADAPTER.as_posix(), "md5": f"{folder}.dir"}
    stages = {"post_infer": {"deps": [adapter], "params": {"params.yaml": settings}, "outs": [post]}}
    stages["compare"] = {"deps": [post], "outs": [{"path": about.COMPARE.as_posix(), "md5": md5}]}
    about.LOCK.write_text(json.dumps({"stages": stages}))
    monkeypatch.setattr(about.verdict, "headline", lambda _: "Better.")
    assert about.headline(tiny) == "Better."
    hot = tiny.model_copy(update={"generation": tiny.generation.model_copy(update={"temperature": 1.0})})
    assert about.headline(hot) == about.OTHER


def test_a_port_that_is_taken_is_one_line(monkeypatch):
    from stages.chat import page as chat_page

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("gradio.http_server.INITIAL_PORT_VALUE", taken.getsockname()[1])
        monkeypatch.setattr("gradio.http_server.TRY_NUM_PORTS", 1)
        with (
            gradio.Blocks() as empty,
            pytest.raises(UserError, match=r"^no port for the page \(.+\): end what has it, or "),
        ):
            chat_page.launch(empty)


def test_the_server_starts_behind_a_proxy_and_ctrl_c_ends_it_at_any_time(served, tmp_path):
    with contextlib.chdir(ROOT):
        (tmp_path / "params.yaml").write_text(edited("tiny")[0], encoding="utf-8")
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment["AI_MEDICAL_CHATBOT_CACHE"] = str(tmp_path / "cache")
    for line in ("chat: loading the models", "chat: http://127.0.0.1:"):
        with subprocess.Popen(
            [sys.executable, "-m", "stages.chat"], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as server:  # fmt: skip
            said = next(one for one in server.stdout if one.startswith(line) or "Error" in one)
            server.send_signal(signal.SIGINT)
            rest = server.stdout.read()
        assert said.startswith(line)
        assert "Traceback" not in rest
        assert server.returncode == 0


def test_nothing_is_stored_unless_one_asks_for_it_and_then_the_files_source_reads_it(opened, served):
    served.script.texts |= {"Stored?": "<think>\nI think.\n</think>\nYes.", "Not stored?": "No."}
    page = opened()
    ask(page, "Not stored?")
    page.locator("#keep").get_by_role("checkbox").check()
    ask(page, "Stored?")
    folder, files = served.place / saved.FOLDER, served.params.dataset.files
    for _ in range(50):
        if not (folder.exists() and any(one.stat().st_size for one in folder.iterdir())):
            page.wait_for_timeout(100)
    (path,) = folder.iterdir()
    assert [one for one in served.place.rglob("*.jsonl") if one.parent.name != "raw"] == [path]
    (served.place / "data/input").mkdir()
    shutil.copy(path, served.place / "data/input")
    columns = {ours: theirs for ours, theirs in files.columns if theirs}
    with contextlib.chdir(served.place):
        (row,) = local_files.rows([path.name], list(columns.values()))
    record = Cleaner().clean(row, columns)
    assert record == {"question": "Stored?", "reasoning": "I think.", "response": "Yes."}


def test_a_phone_shows_all_without_scrolling_sideways(opened):
    page = opened(PHONE)
    turn = ask(page, "I have chest pain. " + "W" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    before, after = (turn.locator(".arm").nth(place).bounding_box() for place in (0, 1))
    assert after["y"] >= before["y"] + before["height"]
    for button in ("#ask", "#stop", "#again", "#new"):
        sync_api.expect(page.locator(button)).to_be_in_viewport(ratio=1)


def test_dark_is_dark(opened):
    light, dark = (opened(color_scheme=scheme) for scheme in ("light", "dark"))
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    arm = "getComputedStyle(document.querySelector('.is-tuned')).backgroundColor.match(/\\d+/g).map(Number)"
    assert min(light.evaluate(background)[:3]) > 200
    assert max(dark.evaluate(background)[:3]) < 60
    assert max(dark.evaluate(arm)[:3]) < 80


def test_before_a_fine_tune_the_base_answers_alone_and_the_page_says_so(opened, served):
    page = opened(url=served.before)
    assert page.get_by_text(texts.NO_FINE_TUNE.replace("`", "")).is_visible()
    box = page.locator("#top").bounding_box()
    assert abs(box["x"] - (DESKTOP["width"] - box["x"] - box["width"])) < 20  # in the middle, and wide
    assert box["width"] > DESKTOP["width"] * 0.8
    assert not page.get_by_text("Both, side by side").is_visible()
    assert ask(page, "Alone?").locator(".arm").count() == 1
