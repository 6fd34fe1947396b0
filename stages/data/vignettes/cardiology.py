"""Scores for atrial fibrillation: the risk of stroke and the risk of bleeding."""

from stages.data.vignettes.distractors import COMMON, POTASSIUM, PULSE, SATURATION, TEMPERATURE
from stages.data.vignettes.measures import Number, above, at_least, at_most, below, between
from stages.data.vignettes.people import Patients
from stages.data.vignettes.score import Either, Score
from stages.data.vignettes.signs import Flag

CHA2DS2_VASC = Score(
    name="CHA2DS2-VASc",
    labels=("CHA2DS2-VASc score", "CHA2DS2-VASc"),
    source="Lip GYH, Nieuwlaat R, Pisters R, Lane DA, Crijns HJGM. Chest 2010;137:263-272. doi:10.1378/chest.09-1584",
    patients=Patients(
        settings=("", " with AF", " with atrial fibrillation"),
        age=Number(("age",), "", (below(65, 0, least=40), between(65, 74, 1), at_least(75, 2, most=92))),
        male=0,
        female=1,
    ),
    items=(
        Flag(("heart failure", "reduced LVEF", "LV dysfunction"), absent=("no heart failure", "normal LVEF")),
        Flag(("hypertension", "treated hypertension"), absent=("no hypertension",)),
        Flag(("diabetes", "type 2 diabetes"), absent=("no diabetes",), near=("family history of diabetes",)),
        Flag(("prior stroke", "previous TIA"), 2, absent=("no stroke", "no TIA"), near=("family history of stroke",)),
        Flag(
            ("prior MI", "peripheral artery disease", "aortic plaque"),
            absent=("no vascular disease", "no prior MI"),
            near=("varicose veins",),
        ),
    ),
    distractors=(*COMMON, "current smoking", "COPD", "anaemia", "high cholesterol", PULSE, POTASSIUM),
)

# Kidneys and liver give a point each, and so do drugs and alcohol: nine items, at most nine points.
HAS_BLED = Score(
    name="HAS-BLED",
    labels=("HAS-BLED score", "HAS-BLED"),
    source="Pisters R, Lane DA, Nieuwlaat R, et al. Chest 2010;138:1093-1100. doi:10.1378/chest.10-0134",
    patients=Patients(
        settings=("", " on warfarin", " with AF"),
        age=Number(("age",), "", (at_most(65, 0, least=40), above(65, 1, most=91))),
    ),
    items=(
        Number(("systolic",), " mmHg", (at_most(160, 0, least=112), above(160, 1, most=196))),
        Either(
            (
                Flag(("chronic dialysis", "kidney transplant"), absent=("normal kidneys",), near=("kidney stones",)),
                Number(("creatinine",), " µmol/L", (below(200, 0, least=62), at_least(200, 1, most=420, least=205))),
            )
        ),
        Flag(("liver cirrhosis",), absent=("normal liver", "no cirrhosis"), near=("childhood hepatitis A",)),
        Flag(("prior stroke", "previous stroke"), absent=("no stroke",), near=("family history of stroke",)),
        Flag(("prior major bleed", "anaemia"), absent=("no bleeding", "no anaemia")),
        Flag(("labile INR", "unstable INR"), absent=("stable INR",)),
        Flag(
            ("aspirin use", "NSAID use", "clopidogrel use"),
            absent=("no aspirin", "no NSAID"),
            near=("paracetamol use",),
        ),
        Flag(("alcohol abuse", "heavy drinking"), absent=("no alcohol",)),
    ),
    distractors=(*COMMON, "current smoking", "diabetes", "heart failure", PULSE, SATURATION, TEMPERATURE),
)
