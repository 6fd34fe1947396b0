"""What makes a comparison unfair or weak, as short codes with their numbers; the report has the words."""

from collections import Counter

from stages.evaluate.samples import ARMS, ASKED
from stages.files.records import Row

CUT, STATED = 0.1, 0.3  # differences between the arms' shares
ONE_LETTER = 0.5  # share of the keys


def warnings(rows: list[Row], result: Row) -> list[Row]:
    """The codes that hold for one set: cut_off, stated, unread, few, one_letter."""
    shares = {key: {arm: result[f"{arm}_form"][key] for arm in ARMS} for key in ("finish_reason_length", "stated")}
    found: list[Row] = []
    # A limit that cuts one arm's answers; a form that one arm alone knows.
    for code, key, most in (("cut_off", "finish_reason_length", CUT), ("stated", "stated", STATED)):
        if abs(shares[key]["after"] - shares[key]["before"]) > most:
            found.append({"code": code, **shares[key]})
    if result["kind"] in ASKED:  # read nothing even so: not asked, or asked in vain
        unread = {arm: sum(one["stated"] is None for row in rows for one in row[arm]["samples"]) for arm in ARMS}
        found += [{"code": "unread", **unread}] if any(unread.values()) else []
    if result["few"]:
        found.append({"code": "few", "n": result["groups"] or result["n"]})
    if result["kind"] == "choice":
        ((letter, count),) = Counter(row["record"]["answer"] for row in rows).most_common(1)
        if count > ONE_LETTER * len(rows):
            found.append({"code": "one_letter", "letter": letter, "share": count / len(rows)})
    return found
