"""Scores for the liver: the severity of cirrhosis."""

from stages.data.vignettes.distractors import ALT, COMMON, CREATININE, GLUCOSE, HAEMOGLOBIN, POTASSIUM, PULSE, SODIUM
from stages.data.vignettes.measures import Number, above, below, between
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Score
from stages.data.vignettes.signs import Choice

# Clotting by INR in place of Pugh's seconds, as is common: 1.7 and 2.3 for 4 and 6 seconds. Versions part between 2.2
# and 2.3, so nothing is drawn there.
CHILD_PUGH = Score(
    name="Child-Pugh",
    labels=("Child-Pugh score", "Child-Pugh points", "Child-Pugh total"),
    source="Pugh RNH, Murray-Lyon IM, Dawson JL, Pietroni MC, Williams R. Br J Surg 1973;60:646-649. "
    "doi:10.1002/bjs.1800600817",
    patients=Patients(ages=(32, 79), settings=("", " with cirrhosis")),
    items=(
        Number(
            ("bilirubin",),
            " mg/dL",
            (below(2, 1, least=0.5), between(2, 3, 2), above(3, 3, most=9.0)),
            decimals=1,
        ),
        Number(
            ("albumin",),
            " g/dL",
            (above(3.5, 1, most=4.8), between(2.8, 3.5, 2), below(2.8, 3, least=1.7)),
            decimals=1,
        ),
        Number(("INR",), "", (below(1.7, 1, least=0.9), between(1.7, 2.3, 2, most=2.2), above(2.3, 3, most=3.9)), 1),
        Choice(
            "ascites",
            ((1, ("no ascites",)), (2, ("slight ascites", "mild ascites")), (3, ("moderate ascites", "tense ascites"))),
        ),
        Choice(
            "encephalopathy",
            (
                (1, ("no encephalopathy",)),
                (2, ("grade 1 encephalopathy", "grade 2 encephalopathy")),
                (3, ("grade 3 encephalopathy", "grade 4 encephalopathy")),
            ),
        ),
    ),
    distractors=(
        *COMMON,
        *("small varices", "splenomegaly", CREATININE, SODIUM, ALT, HAEMOGLOBIN, PULSE, POTASSIUM, GLUCOSE),
    ),
    complete=True,
)
