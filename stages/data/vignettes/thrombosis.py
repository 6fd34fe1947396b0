"""Scores for venous thromboembolism: the leg, the lung, and the rule that excludes it."""

from stages.data.vignettes.distractors import BREATHS, COMMON, CRP, POTASSIUM, PULSE, SATURATION, SYSTOLIC, TEMPERATURE
from stages.data.vignettes.measures import Number, above, at_least, at_most, below
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Score
from stages.data.vignettes.signs import Flag

# The version of 2003, with the item on earlier thrombosis that the one of 1997 lacks. A calf difference of 3 cm to the
# millimetre is not drawn, since the two versions part there.
WELLS_DVT = Score(
    name="Wells DVT",
    labels=("Wells DVT score", "Wells score for DVT"),
    source="Wells PS, Anderson DR, Rodger M, et al. N Engl J Med 2003;349:1227-1235. doi:10.1056/NEJMoa023153",
    patients=Patients(settings=("", " with leg pain", " with a sore leg")),
    items=(
        Flag(("active cancer", "cancer on chemotherapy"), absent=("no cancer",), near=("cancer cured 10 years ago",)),
        Flag(("leg paralysis", "recent leg cast"), absent=("no paralysis", "no leg cast")),
        Flag(
            ("bedridden for 4 days", "hip surgery 3 weeks ago"),
            absent=("no bed rest", "no recent surgery"),
            near=("hip surgery 2 years ago",),
        ),
        Flag(("deep vein tenderness", "tender deep veins"), absent=("no vein tenderness",)),
        Flag(("entire leg swollen", "whole leg swollen"), absent=("leg not swollen throughout",)),
        Number(
            ("calf difference", "calf larger by"),
            " cm",
            (below(3, 0, least=1.2), at_least(3, 1, most=6.0, least=3.2)),
            decimals=1,
        ),
        Flag(("pitting oedema of one leg",), absent=("no pitting oedema",), near=("equal oedema of both legs",)),
        Flag(("collateral superficial veins",), absent=("no collateral veins",), near=("varicose veins",)),
        Flag(("previous DVT", "prior DVT"), absent=("no previous DVT",), near=("family history of DVT",)),
        Flag(("cellulitis more likely", "Baker cyst more likely"), -2, absent=("no likelier diagnosis",)),
    ),
    distractors=(*COMMON, "current smoking", "obesity", "long flight", PULSE, TEMPERATURE, CRP, SATURATION, POTASSIUM),
)

WELLS_PE = Score(
    name="Wells PE",
    labels=("Wells PE score", "Wells score for PE"),
    source="Wells PS, Anderson DR, Rodger M, et al. Thromb Haemost 2000;83:416-420",
    patients=Patients(settings=("", " with breathlessness", " with chest pain")),
    items=(
        Flag(("clinical signs of DVT", "DVT signs"), 3, absent=("no signs of DVT",)),
        Flag(("PE most likely", "PE likeliest diagnosis"), 3, absent=("pneumonia more likely", "PE unlikely")),
        Number(("heart rate", "pulse"), "/min", (at_most(100, 0, least=62), above(100, 1.5, most=136))),
        Flag(
            ("surgery 2 weeks ago", "immobile for 4 days"),
            1.5,
            absent=("no surgery", "fully mobile"),
            near=("surgery 2 years ago",),
        ),
        Flag(("previous DVT", "previous PE"), 1.5, absent=("no previous PE",), near=("family history of PE",)),
        Flag(("haemoptysis", "coughing blood"), absent=("no haemoptysis",)),
        Flag(("active cancer", "cancer on chemotherapy"), absent=("no cancer",), near=("cancer cured 10 years ago",)),
    ),
    distractors=(*COMMON, "current smoking", "obesity", "long flight", BREATHS, SYSTOLIC, TEMPERATURE, SATURATION),
)

# The rule asks for the absence of all eight; what is counted here is how many of them fail.
PERC = Score(
    name="PERC",
    labels=("failed PERC criteria count", "count of failed PERC criteria", "number of PERC criteria failed"),
    source="Kline JA, Mitchell AM, Kabrhel C, Richman PB, Courtney DM. J Thromb Haemost 2004;2:1247-1255. "
    "doi:10.1111/j.1538-7836.2004.00790.x",
    patients=Patients(
        settings=("", " with chest pain", " with breathlessness"),
        age=Number(("age",), "", (below(50, 0, least=19), at_least(50, 1, most=82))),
    ),
    items=(
        Number(("heart rate", "pulse"), "/min", (below(100, 0, least=62), at_least(100, 1, most=134))),
        Number(("SpO2", "saturation"), "%", (below(95, 1, least=86), at_least(95, 0, most=100))),
        Flag(
            ("swelling of one leg", "unilateral leg swelling"),
            absent=("no leg swelling",),
            near=("swelling of both ankles",),
        ),
        Flag(("haemoptysis", "coughing blood"), absent=("no haemoptysis",)),
        Flag(("surgery 2 weeks ago", "surgery last week"), absent=("no surgery",), near=("surgery 2 years ago",)),
        Flag(("previous DVT", "previous PE"), absent=("no previous PE",), near=("family history of PE",)),
        Flag(("oestrogen pill", "oral oestrogen"), absent=("no oestrogen",), only="woman"),
    ),
    distractors=(*COMMON, "current smoking", "obesity", "asthma", BREATHS, SYSTOLIC, TEMPERATURE, POTASSIUM),
)
