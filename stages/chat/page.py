"""The page of `make chat`: its layout, on Gradio."""

import secrets
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from stages.chat import about, saved, texts, turns
from stages.chat.replies import LATE, SAMPLING, Replies
from stages.model.load import LoadedModel
from stages.params.schema import Params

TITLE = "AI Medical Chatbot 3.0"
STYLE = Path(__file__).with_name("style.css")
FONTS = {  # of the system: a font of the theme's own would be asked of another host
    "font": ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"),
    "font_mono": ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"),
}
SAYS = {"base": "Answers as before the fine-tune.", "tuned": "Answers as after it."}
WHO = {"both": "Both, side by side", "tuned": "Fine-tuned alone", "base": "Base alone"}
SHOW_LAST = "() => setTimeout(() => document.querySelector('#talk .turn:last-child')?.scrollIntoView(), 50)"


def build(params: Params, arms: Mapping[str, LoadedModel]) -> gr.Blocks:
    """The page over the arms that are loaded."""
    replies, both = Replies(params, arms), len(arms) > 1
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(f'<p role="note">{escape(texts.RESEARCH)}</p>', elem_id="research")
        gr.HTML(_top(params, both), elem_id="top")
        talk, exchanges, conversation = gr.HTML(_welcome(replies), elem_id="talk"), gr.State([]), gr.State(_name)
        with gr.Column(elem_id="composer"):
            question = gr.Textbox(
                placeholder="Ask a medical question", show_label=False, max_lines=8, autofocus=True, elem_id="question",
                container=False,
            )  # fmt: skip
            with gr.Row(elem_id="controls"):
                queue = gr.HTML(elem_id="queue")
                ask = gr.Button("Ask", variant="primary", min_width=60, elem_id="ask")
                stop = gr.Button("Stop", interactive=False, min_width=60, elem_id="stop")
                again = gr.Button("Retry", interactive=False, min_width=60, elem_id="again")
                new = gr.Button("Clear", interactive=False, min_width=60, elem_id="new")
        with gr.Row(elem_id="more"):
            choices = [(one.label, one.question) for one in replies.examples]
            with gr.Column():
                chosen = [(label, name) for name, label in WHO.items() if both or name in arms]
                who = gr.Radio(chosen, value=chosen[0][1], label="Who answers", visible=both, elem_id="who")
                example = gr.Dropdown(
                    choices, value=None, label="A question of the evaluation", visible=bool(choices), elem_id="example",
                    info="Asked as the pipeline asks it; the right answer is shown after the models’.",
                )  # fmt: skip
            with gr.Column():
                with gr.Accordion("Sampling", open=False, elem_id="sampling"):
                    sampling, reset = _sampling(params)
                keep = gr.Checkbox(
                    False, label=f"Keep what I ask, with the answers, in {saved.FOLDER}/ (off: nothing is stored)",
                    elem_id="keep",
                )  # fmt: skip
                with gr.Accordion("What answers here", open=False, elem_id="about"):
                    gr.HTML(_about(params))

        buttons, shown = [ask, stop, again, new], [talk, exchanges]
        told = {"show_progress": "hidden", "api_visibility": "private"}  # an error is shown of what queues alone
        own = {"queue": False, **told}
        asked = gr.on(
            [question.submit, ask.click], replies.ask, [question, who, exchanges, keep, *sampling],
            [question, *shown, *buttons], **told,
        )  # fmt: skip
        asked_again = again.click(
            replies.again,
            [who, exchanges, keep, *sampling],
            [sampling[SAMPLING.index("seed")], *shown, *buttons],
            **told,
        )
        writing = [
            begun.success(None, js=SHOW_LAST).then(
                replies.write, [exchanges, *sampling], shown, concurrency_id="models", concurrency_limit=1,
                show_progress="full", show_progress_on=queue, api_visibility="private",
                trigger_mode="multiple",  # one that was stopped may not have ended yet
            )
            for begun in (asked, asked_again)
        ]  # fmt: skip
        for one in writing:
            freed = one.then(replies.done, exchanges, buttons, **own)
            freed.then(replies.keep, [exchanges, keep, conversation], None, **told)
        # Through the queue as the pictures are: what is sent first is shown first.
        ended = stop.click(replies.stop, exchanges, [*shown, *buttons], cancels=writing, **told)
        ended.then(lambda: time.sleep(LATE), **told).then(replies.stopped, exchanges, shown, **told)
        new.click(
            lambda: (_welcome(replies), [], _name(), gr.update(interactive=False), gr.update(interactive=False)),
            None, [*shown, conversation, again, new], **own,
        )  # fmt: skip
        example.input(lambda text: text, example, question, **own)
        reset.click(lambda: [getattr(params.generation, name) for name in SAMPLING], None, sampling, **own)
    return page


def launch(page: gr.Blocks) -> str:
    """Serve the page on 127.0.0.1, on the first free port from 7860 on; returns its address at once.

    Raises UserError where there is no free port.
    """
    theme = gr.themes.Default(primary_hue="sky", neutral_hue="stone", **FONTS)
    try:
        _, url, _ = page.queue().launch(
            server_name="127.0.0.1", share=False, quiet=True, theme=theme, css_paths=STYLE, footer_links=[],
            run_history=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
            prevent_thread_lock=True,
        )  # fmt: skip
    except OSError as error:
        raise texts.NO_PORT(error=error) from None
    return url


def _name() -> str:
    return secrets.token_hex(4)


def _sampling(params: Params) -> tuple[list[Any], gr.Button]:
    """The fields of SAMPLING, and the button that brings the evaluated values back."""
    given = params.generation
    with gr.Row():
        fields = [
            gr.Slider(0, 2, given.temperature, step=0.05, label="Temperature (0: greedy)"),
            gr.Slider(0.05, 1, given.top_p, step=0.05, label="top_p"),
        ]
    with gr.Row():
        fields += [
            gr.Number(given.max_new_tokens, label="Tokens at most", precision=0, minimum=1, maximum=131_072),
            gr.Number(given.seed, label="Seed", precision=0, minimum=0, maximum=2**32 - 1),
        ]
    return fields, gr.Button("Back to the evaluated settings", size="sm", elem_id="reset")


def _top(params: Params, both: bool) -> str:
    """What this is, and what it was found to be worth."""
    said = "Two models answer each question side by side: the base model, and the same model after the fine-tune."
    verdict = about.headline(params) if both else ""
    return f'<h1>{TITLE}</h1><p class="lede">{said if both else escape(texts.NO_FINE_TUNE.replace("`", ""))}</p>' + (
        f'<p class="verdict"><b>Verdict.</b> {escape(verdict)}</p>' if verdict else ""
    )


def _welcome(replies: Replies) -> str:
    """Which column is which, before anything is asked."""
    columns = "".join(
        f'<section class="arm is-{name}"><h3>{turns.NAMES[name]} <small>{escape(replies.about[name])}</small></h3>'
        f'<div class="reply quiet">{SAYS[name]}</div></section>'
        for name in replies.arms
    )
    return f'<div class="arms of-{len(replies.arms)} welcome">{columns}</div>'


def _about(params: Params) -> str:
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in about.revisions(params).items())
    return f"<dl>{''.join(rows)}</dl><p>metrics/report.html has every answer of the evaluation.</p>"
