"""Findings that several scores do not count, to be listed by a score as its distractors."""

from stages.data.vignettes.score import Reading

COMMON = (
    "penicillin allergy",
    "hay fever",
    "psoriasis",
    "eczema",
    "migraine",
    "hypothyroidism",
    "acid reflux",
    "vitamin D use",
)
POTASSIUM = Reading(("potassium",), " mmol/L", 3.5, 5.2, 1)
SODIUM = Reading(("sodium",), " mmol/L", 132, 146)
GLUCOSE = Reading(("glucose",), " mmol/L", 4.4, 9.8, 1)
HAEMOGLOBIN = Reading(("haemoglobin",), " g/dL", 10.5, 16.0, 1)
CRP = Reading(("CRP",), " mg/L", 2, 180)
ALT = Reading(("ALT",), " U/L", 14, 160)
CREATININE = Reading(("creatinine",), " mg/dL", 0.6, 1.8, 1)
TEMPERATURE = Reading(("temperature", "temp"), " °C", 36.2, 39.4, 1)
PULSE = Reading(("pulse", "heart rate"), "/min", 58, 124)
BREATHS = Reading(("respiratory rate", "RR"), "/min", 12, 26)
SATURATION = Reading(("SpO2", "saturation"), "%", 90, 99)
SYSTOLIC = Reading(("systolic",), " mmHg", 104, 168)
