"""The report: an HTML page that fetches nothing, and its summary in Markdown."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from stages.files.records import Row
from stages.report import charts, display, questions, verdict, wording
from stages.report.caveats import DEVICE, caveats, unasked
from stages.report.context import OUTCOMES, Context, outcomes

HERE = Path(__file__).parent
MARKS = re.compile(r"([\\`*_{}\[\]>|#~@&]|<(?! ))")  # `< ` opens no tag
UNBROKEN = re.compile(r"held-out|[+−]?\d[\d.,]*\d? (?:%|points|nats)|p (?:&lt;|=) [\d.]*\d")
FORM = {
    "stated": "state an answer as written",
    "correct_when_stated": "right, of those that state one",
    "thinking_cut": "thinking closed by force",
    "thinking_closed": "think, and close their thinking",
    "finish_reason_length": "cut off at the token limit",
    "empty": "empty",
    "looping": "end in a loop",
}


def html(context: Context) -> str:
    """The report as one HTML file."""
    shown = questions.limit(context.rows)
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    environment = _environment(autoescape=True)
    environment.filters["nb"] = _unbroken
    return environment.get_template("page.html.j2").render(
        _common(context, wording.label),
        charts={name: Markup(chart) for name, chart in charts.all_of(context).items()},
        warnings=_warnings(context.results),
        remarks={wording.label(name): verdict.remarks(result) for name, result in context.results.items()},
        questions=[questions.question(row, number, shown, context.tags) for number, row in enumerate(context.rows, 1)],
        free=[questions.free(row, number, context.tags) for number, row in enumerate(context.free, 1)],
        params=flat(context.params),
        shown=shown or questions.LEAST,
        others=shown > 0,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
    )


def _warnings(results: dict[str, Row]) -> list[str]:
    """Each warning once, behind the names of the sets that it is about."""
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        for said in verdict.warnings(result):
            found.setdefault(said, []).append(wording.label(name))
    return [f"{', '.join(names)}: {said}" if len(results) > 1 else said for said, names in found.items()]


def markdown(context: Context) -> str:
    """The report in one screen of Markdown, for a pull request. No text of a model is in it."""
    environment = _environment(autoescape=False)
    environment.filters["md"] = escaped
    return environment.get_template("summary.md.j2").render(_common(context, lambda name: escaped(wording.label(name))))


def escaped(value: Any) -> str:
    """A text for Markdown: one line, and no sign that means anything there."""
    return MARKS.sub(r"\\\1", " ".join(display.clean(str(value)).split()))


def flat(values: Row, prefix: str = "") -> dict[str, str]:
    """Nested params as `section.name` and their values as text, in their own order."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Every text that a template writes passes here; what a template writes itself does not.
        finalize=lambda value: display.clean(value) if type(value) is str else value,
    )


def _common(context: Context, label: Any) -> dict[str, Any]:
    """What the page and the summary both show: the context, and its sentences."""
    labelled = {wording.label(name): result for name, result in context.results.items()}
    counts = context.dataset["kept"]
    kept = {"learned from": context.prompts["train"]}
    kept |= {
        f"{wording.label(name)} ({split})": count
        for name, splits in counts.items()
        if name != "train"
        for split, count in splits.items()
    }
    return vars(context) | {
        "wording": wording,
        "verdict": verdict,
        "label": label,
        "form": FORM,
        "outcome_labels": OUTCOMES,
        "device": DEVICE,
        "headline": verdict.headline(labelled),
        "sentences": [verdict.sentence(name, result, len(labelled)) for name, result in labelled.items()],
        "lines": [*unasked(context), *verdict.lines(context.results, context.studies)],
        "losses": verdict.reference_losses(context.results, context.studies["control"]),
        "samples": max((result["samples"] for result in labelled.values()), default=1),
        "outcomes": outcomes(context.rows),
        "export_note": wording.export_note(context.export) if context.export else "",
        "caveats": caveats(context),
        "kept": kept,
        "versions": dict(sorted(context.versions.items())),
    }


def _unbroken(text: str) -> Markup:
    """A sentence whose numbers stay on one line with their units, escaped."""
    return Markup(UNBROKEN.sub(r'<span class="nb">\g<0></span>', str(escape(display.clean(text)))))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
