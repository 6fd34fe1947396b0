"""Scores for the chest and for sleep: severity of pneumonia and risk of sleep apnoea."""

from stages.data.vignettes.distractors import COMMON, GLUCOSE, POTASSIUM, PULSE, SATURATION, SODIUM, TEMPERATURE
from stages.data.vignettes.measures import Number, Pressure, above, at_least, at_most, below
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Score
from stages.data.vignettes.signs import Flag

CURB_65 = Score(
    name="CURB-65",
    labels=("CURB-65 score", "CURB-65"),
    source="Lim WS, van der Eerden MM, Laing R, et al. Thorax 2003;58:377-382. doi:10.1136/thorax.58.5.377",
    patients=Patients(
        settings=("", " with pneumonia", " with a chest infection"),
        age=Number(("age",), "", (below(65, 0, least=22), at_least(65, 1, most=94))),
    ),
    items=(
        Flag(("new confusion", "disorientation"), absent=("no confusion", "clear mind"), near=("mild anxiety",)),
        Number(("urea", "serum urea"), " mmol/L", (at_most(7, 0, least=3.0), above(7, 1, most=15.0)), decimals=1),
        Number(("respiratory rate", "RR"), "/min", (below(30, 0, least=14), at_least(30, 1, most=42))),
        Pressure(
            systolic=below(90, 1, least=72),
            diastolic=at_most(60, 1, least=40),
            otherwise="not low",
            ranges=((74, 146), (42, 92)),
        ),
    ),
    distractors=(
        *COMMON,
        *("current smoking", "COPD", "diabetes", "productive cough", PULSE, SATURATION, TEMPERATURE, SODIUM),
    ),
)

# The limit for the neck is 40 cm in both sexes, as first published; later versions differ by sex.
STOP_BANG = Score(
    name="STOP-BANG",
    labels=("STOP-BANG score", "STOP-BANG"),
    source="Chung F, Yegneswaran B, Liao P, et al. Anesthesiology 2008;108:812-821. doi:10.1097/ALN.0b013e31816d83e4",
    patients=Patients(
        settings=("", " before surgery", " in a sleep clinic"),
        age=Number(("age",), "", (at_most(50, 0, least=24), above(50, 1, most=80))),
        male=1,
        female=0,
    ),
    items=(
        Flag(("loud snoring",), absent=("no snoring", "never snoring")),
        Flag(("daytime tiredness", "daytime sleepiness"), absent=("no tiredness", "no sleepiness")),
        Flag(("observed apnoea", "witnessed apnoea"), absent=("no observed apnoea",), near=("teeth grinding",)),
        Flag(("hypertension", "treated hypertension"), absent=("no hypertension",)),
        Number(("BMI",), "", (at_most(35, 0, least=21), above(35, 1, most=46))),
        Number(("neck", "neck circumference"), " cm", (at_most(40, 0, least=34), above(40, 1, most=47))),
    ),
    distractors=(*COMMON, "current smoking", "diabetes", "asthma", "nightmares", PULSE, GLUCOSE, POTASSIUM),
)
