"""The verdict: its headline, and the lines that a reader needs beside it; page and summary escape them."""

from stages.files.records import Row
from stages.report.wording import (
    BASELINES,
    FEW,
    baseline,
    few,
    graded,
    interval,
    label,
    p_value,
    parting,
    percent,
    plural,
    points,
    power,
    reference_loss,
    shares,
    signed,
)

ABOUT = {"asked": "Asked for the answer", "written": "By wording alone (weak)"}
WARNINGS = {
    "cut_off": "The token limit cuts {before} of the answers before, {after} after: it treats them unequally.",
    "stated": "{before} of the answers before state something, {after} after: one model knows the form asked for.",
    "unread": "{before} answers before and {after} after state nothing even when asked: they count as wrong.",
    "one_letter": "The right answer is {letter} in {share} of the questions: a habit may pass for knowledge.",
}
FIGURES = (
    "As asked is what the model knows: an answer that states nothing is asked again, by “Therefore, the answer is”. "
    "As written is what a reader sees."
)
FORM_ALONE = "Form alone is what a control gains whose completions were swapped between questions."
SAMPLES = "Rates are means over {} samples a question (avg@{})."


def headline(results: dict[str, Row]) -> str:
    """The result of all sets in a sentence, small ones in a second; `results` by the names to be shown."""
    if not results:
        return "Nothing was graded: there was no held-out question."
    about = "asked" if any(one["about"] == "asked" for one in results.values()) else "written"
    counted = {name: one for name, one in results.items() if one["about"] == about}
    large = {name: one for name, one in counted.items() if not one["few"]}
    small = len(counted) - len(large)
    if large and small:
        hints = "are hints" if small > 1 else "is a hint"
        return f"{headline(large)} {plural(small, 'further set')} of fewer than {FEW} questions {hints}."
    if len(counted) == 1:
        return "".join(f"{clause(name, one)}." for name, one in counted.items())
    found = [one["verdict"] for one in counted.values()]
    better, worse, none = (found.count(one) for one in ("better", "worse", "no difference shown"))
    total = f"{len(counted)} sets of questions"
    if none == len(counted):
        return f"{ABOUT[about]}, no difference shown on any of {total}."
    parts = [f"better than the base on {better or 'none'} of {total}{_also(counted)}", f"worse on {worse or 'none'}"]
    parts += [f"no difference shown on {none}"] * bool(none)
    return f"{ABOUT[about]}, this adapter is {', '.join(parts)}."


def _also(results: dict[str, Row]) -> str:
    """On how many of the sets that got better the adapter also beats what needs no model."""
    found = [one["baselines"] for one in results.values() if one["verdict"] == "better" and one["baselines"]]
    beaten = sum(one["verdict"] == "better" for one in found)
    return f" (on {beaten or 'none'} of these also than what needs no model)" if found else ""


def clause(name: str, result: Row) -> str:
    """The verdict on one set with its counts, without an end."""
    about, after = ABOUT[result["about"]], shares(result, result["after"])
    before = shares(result, result["before"]).split(" of ")[0]
    if result["verdict"] not in ("better", "worse"):
        return f"{about}, no difference shown on {name}: {after} right, {before} before"
    beside = against(result) if result["verdict"] == "better" else ""
    return (
        f"{about}, this adapter is {result['verdict']} than the base{beside} on {name}: {after} right, {before} before"
    )


def against(result: Row) -> str:
    """How a better adapter compares with the best of what needs no model, to follow `better than the base`."""
    found = result["baselines"]
    if not found:
        return ""
    what = f"{baseline(result, found['best'])} ({shares(result, found[found['best']]['rate'])})"
    return {"better": f" and than {what}", "worse": f", but worse than {what},"}.get(
        found["verdict"], f", but not than {what},"
    )


def sentence(name: str, result: Row, sets: int = 1) -> str:
    """The result of one set: its verdict, its numbers, and what belongs beside them."""
    return " ".join([f"{clause(name, result)} ({numbers(result, sets)}).", *warnings(result), *remarks(result)])


def numbers(result: Row, sets: int = 1) -> str:
    """The difference, its interval and its p-value, and for what p is corrected."""
    looks, corrected = result["looks"], [f"Holm’s correction for {sets} sets"] * (sets > 1)
    corrected += [f"Bonferroni’s for {looks} configurations"] * (looks > 1)
    after = f" after {' and '.join(corrected)}" if corrected else ""
    return f"{points(result)}, {p_value(result['p_corrected'])}{after}"


def warnings(result: Row) -> list[str]:
    """What makes a comparison unfair or weak, a sentence each; of a small set, that it is small says enough."""
    if result["few"]:
        return [few(result)] + [_warning(one) for one in result["warnings"] if one["code"] == "unread"]
    return [_warning(one) for one in result["warnings"]]


def _warning(found: Row) -> str:
    said = {key: percent(value, 0) if isinstance(value, float) else value for key, value in found.items()}
    return WARNINGS[found["code"]].format(**said)


def remarks(result: Row) -> list[str]:
    """What belongs beside one set's verdict, a sentence each."""
    return list(filter(None, [parting(result, result["p_corrected"]), power(result), graded(result)]))


def lines(results: dict[str, Row], studies: Row) -> list[str]:
    """What a reader must know beside the table: what is counted, which questions these are, one seed or several."""
    found = [*standing(results), *recipe(results, studies["seeds"])]
    found += [FIGURES] * any(one["about"] == "asked" for one in results.values())
    found += [FORM_ALONE] * bool(studies["control"])
    many = max((one["samples"] for one in results.values()), default=1)
    return found + [SAMPLES.format(many, many)] * (many > 1)


def standing(results: dict[str, Row]) -> list[str]:
    """Whether these questions may choose the configuration, or in how many they have been looked at."""
    if not results:
        return []
    if next(iter(results.values()))["split"] == "validation":
        return ["These questions may choose the configuration (validation); make verdict asks the others (test)."]
    looks = {label(name): one["looks"] for name, one in results.items()}
    most = max(looks.values())
    if most == 1:
        return ["Test questions, looked at in this configuration alone: they chose nothing."]
    found = f"{most}" if len(set(looks.values())) == 1 else ", ".join(f"{n} ({name})" for name, n in looks.items())
    return [f"Test questions, looked at in {found} configurations; p is corrected for it."]


def recipe(results: dict[str, Row], study: Row | None) -> list[str]:
    """What the recipe gives over several training seeds, a sentence a set; or that one seed is no recipe."""
    if not study:
        tested = any(one["split"] == "test" for one in results.values())
        where = " on the validation questions" if tested else ""
        return [f"This is one adapter, of one training seed; what the recipe gives{where}, make seeds tells."]
    return [
        f"The recipe{f' on {label(name)}' if len(results) > 1 else ''}, {len(study['seeds'])} training seeds: "
        f"{_recipe(study['sets'][name]['recipe'])}"
        for name, result in results.items()
        if study["sets"].get(name, {}).get("recipe") and result["few"] == min(one["few"] for one in results.values())
    ]


def _recipe(found: Row) -> str:
    low, high = (signed(100 * found[key]) for key in ("next_low", "next_high"))
    sd, own = (f"{100 * found[key]:.1f}" for key in ("sd", "own_sd"))
    return (
        f"{found['verdict']}, {signed(100 * found['diff'])} points ({interval(found)}); SD {sd}, {own} of it the "
        f"seeds’ own; one more seed: {low} to {high}."
    )


def control(study: Row, name: str, result: Row) -> str:
    """What completions swapped between questions gain, which teach nothing but form; of open ones, in the loss."""
    found = study["sets"].get(name)
    if not found or (result["weak"] and not found.get("reference_loss")):
        return "–"
    return f"{signed(found['reference_loss']['diff'], 2)} nats" if result["weak"] else signed(100 * found["diff"])


def reference_losses(results: dict[str, Row], study: Row | None) -> list[str]:
    """How likely the reference texts became, a sentence a set where it was measured, and the control's part."""
    said = []
    for name, result in results.items():
        loss = ((study or {"sets": {}})["sets"].get(name) or {}).get("reference_loss")
        of_form = f" The control’s changes by {signed(loss['diff'], 3)} nats: that is form." if loss else ""
        if result["reference_loss"]:
            said.append(f"{label(name)}: {reference_loss(result['reference_loss'])}{of_form}")
    return said


def views(result: Row) -> list[tuple[str, Row]]:
    """What is compared on one set, each with its name; the verdict's first, then as written."""
    k = result["samples"]
    found = [("as asked" if result["written"] else "as written, weak", result)]
    found += [("as written", result["written"])] if result["written"] else []
    named = {"pass_at_k": f"at least once in {k}, pass@{k}", "majority": f"by majority, maj@{k}"}
    return found + [(words, result[key]) for key, words in named.items() if result[key]]


def baseline_rates(result: Row) -> str:
    """What needs no model, each with the share that it gets right."""
    found = result["baselines"] or {}
    names = [name for name in BASELINES if found.get(name)]
    return ", ".join(f"{baseline(result, name, short=True)} {percent(found[name]['rate'])}" for name in names) or "–"
