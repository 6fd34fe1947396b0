"""The charts as SVG files for `dvc plots`, whose own charts need a network."""

from stages.report import charts
from stages.report.context import Context
from stages.report.page import HERE

ALONE = "svg { background: var(--paper); font-family: sans-serif; }"


def svgs(context: Context) -> dict[str, str]:
    """Every chart by name, with its own copy of the page's light colours."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    rules = [line for line in style.splitlines() if line.startswith((".fill-", ".chart text"))]
    colours = "\n".join([style.partition("@media")[0], *rules, ALONE])
    return {
        name: chart.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" width="600"', 1).replace(
            ">", f"><style>{colours}</style>", 1
        )
        for name, chart in charts.all_of(context).items()
    }
