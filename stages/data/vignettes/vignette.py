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
JOINTS = ((", ", " and "), (", ", ", "), ("; ", "; "))
COUNTED = (2, 2, 3)  # items that a vignette states, beside age and sex, where the rest may be taken as absent
ASIDES = (1, 1, 1, 2)  # findings that do not count


def write(score: Score, rng: Random) -> dict[str, str]:
    """A row: question, reasoning, response and answer."""
    lean = rng.random()
    person = score.patients.draw(rng, lean)
    findings = draw_findings(score, person, lean, rng)
    before = rng.random() < 0.75
    told = person.findings + findings if before else findings + person.findings
    total = sum(finding.points for finding in told)
    return {
        "question": question(score, person, findings, before, rng),
        "reasoning": reasoning(score, told),
        "response": f"The {score.labels[0]} is {total:g}.",
        "answer": f"{total:g}",
    }


def draw_findings(score: Score, person: Person, lean: float, rng: Random) -> tuple[Finding, ...]:
    """Draw findings that the score counts or could count, and one or two that it does not, in any order."""
    items = [item for item in score.items if getattr(item, "only", "") in ("", person.sex)]
    if not score.complete:
        items = rng.sample(items, rng.choice(COUNTED))
    points = {item.name: level(rng, item.levels(), lean) for item in items}
    while score.plausible and not score.plausible(points):
        points = {item.name: level(rng, item.levels(), lean) for item in items}
    findings = [item.draw(rng, points[item.name]) for item in items]
    for aside in rng.sample(score.asides, rng.choice(ASIDES)):
        findings.append(aside.draw(rng) if isinstance(aside, Reading) else Finding(aside, aside + SKIP))
    rng.shuffle(findings)
    return tuple(findings)


def question(score: Score, person: Person, findings: tuple[Finding, ...], before: bool, rng: Random) -> str:
    """Word the vignette: patient first or last, ask first or last."""
    texts = [finding.text for finding in findings]
    joint, last = rng.choice(JOINTS)
    listed = joint.join(texts[:-1]) + last + texts[-1]
    label = rng.choice(score.labels)
    if not before:
        case = f"{rng.choice(LEADS)}{listed} in {person.text}."
        return f"{case} {capital(rng.choice(CLOSING_ASKS).format(label=label))}"
    case = person.text + rng.choice(LINKS) + listed
    if rng.random() < 0.3:
        return capital(rng.choice(OPENING_ASKS).format(label=label, case=case, sentence=capital(case)))
    return f"{capital(case)}. {capital(rng.choice(CLOSING_ASKS).format(label=label))}"


def reasoning(score: Score, findings: tuple[Finding, ...]) -> str:
    """Recall what the score counts, then judge the findings one by one, in the order told, with a running total."""
    total, steps = 0.0, []
    for finding in findings:
        total += finding.points
        steps.append(f"{finding.judged}: {finding.points:+g} = {total:g}")
    return f"{score.name} counts {score.rules}.\n{'; '.join(steps)}. Total {total:g}."


def capital(text: str) -> str:
    """Begin with a capital, and leave the rest alone."""
    return text[0].upper() + text[1:]
