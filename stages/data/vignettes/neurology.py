"""Scores for the nervous system: coma, and stroke after a transient ischaemic attack."""

from stages.data.vignettes.distractors import BREATHS, COMMON, GLUCOSE, PULSE, SATURATION, SODIUM, SYSTOLIC, TEMPERATURE
from stages.data.vignettes.measures import Number, Pressure, at_least, below, between
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Score
from stages.data.vignettes.signs import Choice, Flag


def plausible_coma(points: dict[str, float]) -> bool:
    """Whether one patient can show these responses: speech goes with open eyes and movement."""
    eyes, verbal, motor = points["eyes"], points["verbal"], points["motor"]
    if (verbal >= 4 and motor < 5) or (verbal == 3 and motor < 3):
        return False
    return eyes > 1 or (verbal < 4 and motor < 6)


# Motor response in six grades, as the authors gave it in 1976; the paper of 1974 had five.
GLASGOW_COMA = Score(
    name="GCS",
    labels=("GCS score", "Glasgow Coma Scale score", "GCS"),
    source="Teasdale G, Jennett B. Lancet 1974;2:81-84, and Acta Neurochir 1976;34:45-55",
    patients=Patients(settings=("", " after a fall", " after a car crash", " after a seizure")),
    items=(
        Choice(
            "eyes",
            (
                (4, ("spontaneous eye opening", "eyes opening spontaneously")),
                (3, ("eye opening to speech", "eyes opening to voice")),
                (2, ("eye opening to pain", "eyes opening to pain")),
                (1, ("no eye opening", "eyes never opening")),
            ),
        ),
        Choice(
            "verbal",
            (
                (5, ("oriented speech", "oriented answers")),
                (4, ("confused speech", "confused conversation")),
                (3, ("inappropriate words",)),
                (2, ("incomprehensible sounds", "only moaning")),
                (1, ("no verbal response", "no speech or sound")),
            ),
        ),
        Choice(
            "motor",
            (
                (6, ("obeying commands", "following commands")),
                (5, ("localising pain", "localising to pain")),
                (4, ("withdrawing from pain", "withdrawal from pain")),
                (3, ("abnormal flexion to pain", "decorticate posturing")),
                (2, ("extension to pain", "decerebrate posturing")),
                (1, ("no motor response", "no movement to pain")),
            ),
        ),
    ),
    distractors=(
        *COMMON,
        "scalp wound",
        "equal pupils",
        "sluggish pupils",
        "neck collar",
        *(PULSE, SATURATION, GLUCOSE, SYSTOLIC, BREATHS, TEMPERATURE),
    ),
    complete=True,
    plausible=plausible_coma,
)

ABCD2 = Score(
    name="ABCD2",
    labels=("ABCD2 score", "ABCD2"),
    source="Johnston SC, Rothwell PM, Nguyen-Huynh MN, et al. Lancet 2007;369:283-292. "
    "doi:10.1016/S0140-6736(07)60150-0",
    patients=Patients(
        settings=("", " with a TIA", " after a TIA"),
        age=Number(("age",), "", (below(60, 0, least=36), at_least(60, 1, most=90))),
    ),
    items=(
        Pressure(
            systolic=at_least(140, 1, most=200),
            diastolic=at_least(90, 1, most=110),
            otherwise="not high",
            ranges=((108, 188), (62, 108)),
        ),
        Choice(
            "features",
            (
                (2, ("left-sided weakness", "right-sided weakness", "weakness of one arm")),
                (1, ("slurred speech without weakness", "aphasia without weakness")),
                (0, ("numbness only", "vertigo only", "double vision only")),
            ),
        ),
        Number(
            ("duration", "symptoms lasting"),
            " min",
            (below(10, 0, least=2), between(10, 59, 1), at_least(60, 2, most=180)),
        ),
        Flag(("diabetes", "type 2 diabetes"), absent=("no diabetes",), near=("family history of diabetes",)),
    ),
    distractors=(*COMMON, "current smoking", "AF", "high cholesterol", "previous TIA", PULSE, SATURATION, SODIUM),
    complete=True,
)
