"""The control: completions swapped between questions, so that nothing but their form can be learned."""

from collections import defaultdict
from collections.abc import Iterable

from stages.files.records import Row

COMPLETION = ("reasoning", "response", "answer")


def swapped(rows: Iterable[Row]) -> list[Row]:
    """The rows, each with the completion of another of its topic, or of its kind where they have no topic.

    A row whose topic no other has is left out. Ids, which are hashes of contents, decide who gets whose: each group is
    a ring in their order.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    rows = list(rows)
    for row in sorted(rows, key=lambda row: row["id"]):
        groups[row.get("topic", row["kind"])].append(row)
    givers = {
        row["id"]: group[index - 1] for group in groups.values() if len(group) > 1 for index, row in enumerate(group)
    }
    taken = [(row, givers[row["id"]]) for row in rows if row["id"] in givers]
    return [row | {key: giver[key] for key in COMPLETION if key in giver} for row, giver in taken]
