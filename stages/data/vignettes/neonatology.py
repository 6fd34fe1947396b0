"""Scores for the newborn: the condition at one and five minutes."""

from stages.data.vignettes.measures import Number, at_least, below
from stages.data.vignettes.people import Newborns
from stages.data.vignettes.score import Either, Reading, Score
from stages.data.vignettes.signs import Choice


def plausible_newborn(points: dict[str, float]) -> bool:
    """Whether one baby can show these signs: breathing, tone and reflexes go together."""
    colour, pulse, *rest = (points[name] for name in ("colour", "no heartbeat", "reflex", "tone", "breathing"))
    if pulse == 0:
        return colour == 0 and not any(rest)
    return max(rest) - min(rest) <= 1 and pulse >= rest[-1] - 1 and colour <= rest[-1] + 1


# Heart rates just at 100 are not drawn: the paper and its later tables differ on who owns that number.
APGAR = Score(
    name="Apgar",
    labels=("Apgar score", "Apgar", "Apgar total"),
    source="Apgar V. Curr Res Anesth Analg 1953;32:260-267",
    patients=Newborns(),
    items=(
        Choice(
            "colour",
            (
                (2, ("pink all over", "completely pink")),
                (1, ("pink with blue hands", "pink with blue feet")),
                (0, ("blue all over", "pale all over")),
            ),
        ),
        Either(
            (
                Choice("no heartbeat", ((0, ("no heartbeat", "no pulse")),)),
                Number(
                    ("heart rate", "pulse"), "/min", (below(100, 1, least=46), at_least(100, 2, most=168, least=104))
                ),
            )
        ),
        Choice(
            "reflex",
            (
                (2, ("sneeze on suction", "cough on suction")),
                (1, ("grimace on suction", "only a grimace")),
                (0, ("no reflex response", "no response to suction")),
            ),
        ),
        Choice(
            "tone",
            (
                (2, ("active motion", "active movement")),
                (1, ("some flexion", "slight limb flexion")),
                (0, ("limp tone", "limp limbs")),
            ),
        ),
        Choice(
            "breathing",
            (
                (2, ("strong cry", "lusty cry")),
                (1, ("slow irregular breathing", "weak irregular breathing")),
                (0, ("no breathing", "apnoea")),
            ),
        ),
    ),
    distractors=(
        "meconium staining",
        "forceps delivery",
        "caesarean birth",
        "cord round the neck",
        "vitamin K given",
        Reading(("cord pH",), "", 7.05, 7.38, 2),
        Reading(("temperature", "temp"), " °C", 36.1, 37.4, 1),
        Reading(("head size", "head circumference"), " cm", 31, 37),
        Reading(("glucose",), " mmol/L", 2.4, 5.2, 1),
    ),
    complete=True,
    plausible=plausible_newborn,
)
