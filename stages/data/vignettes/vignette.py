"""Write one question about a score, with its reasoning and its answer."""

from random import Random

from stages.data.vignettes.people import Person, level
from stages.data.vignettes.score import Reading, Score
from stages.data.vignettes.signs import SKIP, Finding

CLOSING_ASKS = (
    "What is the {label}?",
    "Give the {label}.",
    "Work out the {label}.",
    "Calculate the {label}.",
    "State the {label}.",
    "Find the {label}.",
    "So what is the {label}?",
    "{label}?",
)
OPENING_ASKS = (
    "Give the {label} of {case}.",
    "What is the {label} for {case}?",
    "{label} for {case}?",
    "Work out the {label} of {case}.",
    "Find the {label}: {case}.",
    "{label}? {sentence}.",
)
LINKS = (": ", " presenting with ", ", noted ", ", findings ")
LEADS = ("Findings: ", "Noted: ", "Seen: ", "On review, ", "Chart: ")
SEPARATORS = ((", ", " and "), (", ", ", "), ("; ", "; "))
COUNTED = (2, 2, 3)  # items that a vignette states, beside age and sex, where the rest may be taken as absent
DISTRACTORS = (1, 1, 1, 2)  # findings that do not count


def write(score: Score, rng: Random) -> dict[str, str]:
    """A row: question, reasoning, response and answer."""
    severity = rng.random()
    person = score.patients.draw(rng, severity)
    findings = draw_findings(score, person, severity, rng)
    before = rng.random() < 0.75
    stated = person.findings + findings if before else findings + person.findings
    total = sum(finding.points for finding in stated)
    return {
        "question": question(score, person, findings, before, rng),
        "reasoning": reasoning(score, stated),
        "response": f"The {score.labels[0]} is {total:g}.",
        "answer": f"{total:g}",
    }


def draw_findings(score: Score, person: Person, severity: float, rng: Random) -> tuple[Finding, ...]:
    """Findings that the score may count, and one or two distractors, in random order."""
    items = [item for item in score.items if getattr(item, "only", "") in ("", person.sex)]
    if not score.complete:
        items = rng.sample(items, rng.choice(COUNTED))
    points = {item.name: level(rng, item.levels(), severity) for item in items}
    while score.plausible and not score.plausible(points):
        points = {item.name: level(rng, item.levels(), severity) for item in items}
    findings = [item.draw(rng, points[item.name]) for item in items]
    for extra in rng.sample(score.distractors, rng.choice(DISTRACTORS)):
        findings.append(extra.draw(rng) if isinstance(extra, Reading) else Finding(extra, extra + SKIP))
    rng.shuffle(findings)
    return tuple(findings)


def question(score: Score, person: Person, findings: tuple[Finding, ...], before: bool, rng: Random) -> str:
    """Word the vignette: patient first or last, ask first or last."""
    texts = [finding.text for finding in findings]
    separator, last = rng.choice(SEPARATORS)
    listed = separator.join(texts[:-1]) + last + texts[-1]
    label = rng.choice(score.labels)
    if not before:
        case = f"{rng.choice(LEADS)}{listed} in {person.text}."
        return f"{case} {capital(rng.choice(CLOSING_ASKS).format(label=label))}"
    case = person.text + rng.choice(LINKS) + listed
    if rng.random() < 0.3:
        return capital(rng.choice(OPENING_ASKS).format(label=label, case=case, sentence=capital(case)))
    return f"{capital(case)}. {capital(rng.choice(CLOSING_ASKS).format(label=label))}"


def reasoning(score: Score, findings: tuple[Finding, ...]) -> str:
    """The score sheet, then the findings one by one as stated, with a running total."""
    total, steps = 0.0, []
    for finding in findings:
        total += finding.points
        steps.append(f"{finding.judged}: {finding.points:+g} = {total:g}")
    return f"{score.name} counts {score.rules}.\n{'; '.join(steps)}. Total {total:g}."


def capital(text: str) -> str:
    """Begin with a capital, and leave the rest alone."""
    return text[0].upper() + text[1:]
