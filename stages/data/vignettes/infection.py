"""Scores for infection: sepsis by two definitions, and the sore throat."""

from stages.data.vignettes.distractors import COMMON, CREATININE, CRP, GLUCOSE, PULSE, SATURATION, SODIUM, TEMPERATURE
from stages.data.vignettes.measures import Number, above, at_least, at_most, below, between
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Either, Score
from stages.data.vignettes.signs import Flag

QSOFA = Score(
    name="qSOFA",
    labels=("qSOFA score", "quick SOFA score", "qSOFA"),
    source="Seymour CW, Liu VX, Iwashyna TJ, et al. JAMA 2016;315:762-774. doi:10.1001/jama.2016.0288",
    patients=Patients(settings=("", " with suspected sepsis", " with infection")),
    items=(
        Number(("respiratory rate", "RR"), "/min", (below(22, 0, least=12), at_least(22, 1, most=38))),
        Number(("systolic", "systolic BP"), " mmHg", (at_most(100, 1, least=74), above(100, 0, most=150))),
        Flag(("altered mentation", "new confusion", "drowsiness"), absent=("normal mentation", "no confusion")),
    ),
    distractors=(*COMMON, "diabetes", "cough", PULSE, TEMPERATURE, SATURATION, CRP, CREATININE, GLUCOSE),
    complete=True,
)

# White cells count once, by number or by bands; breathing counts once, by rate or by PaCO2.
SIRS = Score(
    name="SIRS",
    labels=("SIRS criteria count", "number of SIRS criteria met", "count of SIRS criteria"),
    source="Bone RC, Balk RA, Cerra FB, et al. Chest 1992;101:1644-1655. doi:10.1378/chest.101.6.1644",
    patients=Patients(settings=("", " with suspected sepsis", " with infection")),
    items=(
        Number(
            ("temperature", "temp"),
            " °C",
            (below(36, 1, least=34.4), between(36, 38, 0), above(38, 1, most=40.4)),
            decimals=1,
        ),
        Number(("heart rate", "pulse"), "/min", (at_most(90, 0, least=58), above(90, 1, most=138))),
        Either(
            (
                Number(("respiratory rate", "RR"), "/min", (at_most(20, 0, least=11), above(20, 1, most=36))),
                Number(("PaCO2",), " mmHg", (below(32, 1, least=23), at_least(32, 0, most=45))),
            )
        ),
        Either(
            (
                Number(
                    ("WBC", "white cells"),
                    " x10^9/L",
                    (below(4, 1, least=1.5), between(4, 12, 0), above(12, 1, most=24.0)),
                    decimals=1,
                ),
                Number(("bands",), "%", (at_most(10, 0, least=1), above(10, 1, most=24))),
            )
        ),
    ),
    distractors=(*COMMON, "diabetes", "dry cough", SATURATION, CRP, SODIUM, CREATININE, GLUCOSE),
    complete=True,
)

# Every item is stated: a cough that is not mentioned could not be told from a cough that is absent.
MCISAAC = Score(
    name="McIsaac",
    labels=("McIsaac score", "McIsaac sore throat score", "McIsaac (modified Centor) score"),
    source="McIsaac WJ, White D, Tannenbaum D, Low DE. CMAJ 1998;158:75-83",
    patients=Patients(
        settings=("", " with sore throat", " with throat pain"),
        age=Number(("age",), "", (at_least(45, -1, most=70), between(15, 44, 0), between(3, 14, 1))),
    ),
    items=(
        Number(("temperature", "temp"), " °C", (at_most(38, 0, least=36.4), above(38, 1, most=40.0)), decimals=1),
        Flag(("no cough", "absence of cough"), absent=("cough", "dry cough", "productive cough")),
        Flag(
            ("tender neck nodes", "tender cervical nodes"),
            absent=("no tender nodes", "no neck nodes"),
            near=("rash on the neck", "neck stiffness"),
        ),
        Flag(
            ("tonsillar exudate", "swollen tonsils"),
            absent=("normal tonsils", "clear tonsils"),
        ),
    ),
    distractors=(
        *COMMON[:4],
        *("earache", "headache", "runny nose", "hoarse voice", "sick contact", PULSE, SATURATION, CRP),
    ),
    complete=True,
)
