"""Rows of the source in params: cleaned, counted, split into training and held-out rows.

Unusable rows are dropped and counted by reason. A row whose reasoning or response contains a tag `<think>` or
`</think>` is one of them: graders read what follows the last `</think>`, so a model that learned such a row would learn
to answer where no grader reads. In a question, these and the texts of special tokens are plain text.
"""

import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from stages.data import data_errors
from stages.data.sources import builtin, hub_dataset, local_files
from stages.files import records
from stages.files.records import Row
from stages.params.data_schema import Dataset

HUB_COLUMNS = {"question": "Question", "reasoning": "Complex_CoT", "response": "Response"}
BUILTIN_COLUMNS = {name: name for name in ("question", "reasoning", "response", "answer", "topic")}
SPLITS = ("validation", "test")  # of the questions that are asked
LONGEST = 500_000  # characters; prompt.max_length allows no more than 131,072 tokens
# All but tab, line ends and form feed: they come from another encoding, or from a file that is no text.
CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
HALF = re.compile("[\ud800-\udfff]")
# A whole cell of a spreadsheet's error, in any language: #NAME?, #VALEUR !, #N/A, #I/T, #NV, ####, Err:508.
ERROR = re.compile(
    r"#\S{1,20}\s?[!?]|#[^\W\d]/[^\W\d]{1,4}|#(?:N[ADV]|YOK|GETTING_DATA|#{3,})|Err:5\d\d", re.IGNORECASE
)
# Casefolded Cyrillic, Greek, Armenian and other letters that look like Latin ones.
LOOKALIKES = str.maketrans(
    "авекмнорстухѕіјԁһԛԝӏг" + "αεικνορτυχηγ" + "օոսհ" + "ıɑɡøłđħŧƀ" + "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢ",
    "abekmhopctyxsijdhqwlr" + "aeikvoptuxny" + "onuh" + "iagoldhtb" + "abcdefghijklmnopqrstuvwyz",
)
ACCENT = re.compile("[\u0300-\u036f\u064b-\u0655]")  # of Latin, Greek and Cyrillic letters; the vowels of Arabic
TAG = re.compile(r"</?think>", re.IGNORECASE)
SIGN = re.compile(r"[+<>≤≥=±↑↓]|(?<!\w)[-−]|[-−](?!\w)")
HTML = re.compile(r"</?[a-z][^<>]{0,80}>", re.IGNORECASE)


def source(dataset: Dataset) -> tuple[Iterator[Row], dict[str, str], str]:
    """Raw rows of the chosen source, its column for each of ours, the kind of its questions."""
    match dataset.source:
        case "builtin":
            return builtin.rows(dataset.builtin.seed, dataset.builtin.scores), BUILTIN_COLUMNS, "number"
        case "hub":
            return hub_dataset.rows(dataset.hub), HUB_COLUMNS, "open"
        case "files":
            columns = {ours: theirs for ours, theirs in dataset.files.columns if theirs}
            return local_files.rows(dataset.files.data_files, list(columns.values())), columns, "open"


class Cleaner:
    """Turns raw rows into records, and counts dropped rows by reason.

    `unused` counts the good rows of files that no set takes.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.seen = 0
        self.unused = 0
        self.dropped: Counter[str] = Counter()
        self._questions: set[int] = set()

    def clean(
        self, row: Row, columns: dict[str, str], finish: Callable[[Row], str | None] = lambda record: None
    ) -> Row | None:
        """The row under our names, stripped; None, and counted, for an unusable or repeated one.

        `finish` may change a record, and returns the reason to drop it, or None. A dropped row makes no later row a
        duplicate.
        """
        self.seen += 1
        record = {}
        for ours, theirs in columns.items():
            value = row.get(theirs)
            if isinstance(value, float) and math.isnan(value):  # how tables of numbers say that there is none
                value = None
            if ours in ("answer", "group") and type(value) in (int, float) and abs(value) < math.inf:
                value = str(value)
            if not isinstance(value, str):
                return self.drop(f"{'no' if value is None else 'mistyped'} {ours}")
            record[ours] = value.strip()
            if ours == "answer":  # graders read it, and prompts end with it, on one line
                record[ours] = " ".join(value.split())
            if ours == "group":  # a table of numbers that lacks one has 7.0 where another has 7
                record[ours] = record[ours].removesuffix(".0")
            if found := flaw(record[ours]):
                return self.drop(f"{found} {ours}")
            if ours in ("reasoning", "response") and TAG.search(record[ours]):
                return self.drop(f"think tag in {ours}")
        if not normalise(record["question"]):
            return self.drop("no word in question")
        if reason := finish(record):
            return self.drop(reason)
        key = hash_of(record["question"], record.get("options", {}).values())
        if key in self._questions:
            return self.drop("duplicate question")
        self._questions.add(key)
        return record

    def drop(self, reason: str) -> None:
        """Count a row that is left out."""
        self.dropped[reason] += 1

    def check(self, name: str, max_dropped_share: float) -> None:
        """Raise UserError where nothing is left, or more than the given share was dropped."""
        dropped = self.dropped.total()
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.dropped.items()))
        if dropped == self.seen:
            raise data_errors.NO_USABLE_ROW(name=name, seen=self.seen, reasons=reasons or "it is empty")
        if dropped > max_dropped_share * self.seen:
            raise data_errors.TOO_MANY_DROPPED(
                name=name, dropped=dropped, seen=self.seen, reasons=reasons, share=max_dropped_share
            )


def flaw(text: str) -> str | None:
    """Why a stripped text is unusable, as the start of a reason; None for a good one."""
    if not text:
        return "empty"
    if len(text) > LONGEST:
        return "overlong"
    if ERROR.fullmatch(text):
        return "spreadsheet error in"
    if CONTROL.search(text):
        return "control characters in"
    return "broken characters in" if HALF.search(text) else None


def normalise(question: str) -> str:
    """A question without case, punctuation, accents, look-alikes: equal ones are one question.

    Format characters, such as a zero-width space or a soft hyphen, are left out, and so is HTML. Marks that are vowels
    or change a sound, as in Hindi, Thai and Japanese, are part of their words.
    """
    question = HTML.sub(" ", html.unescape(question))
    if question.isascii():
        return " ".join(re.findall(r"[a-z0-9]+", question.casefold()))
    text = ACCENT.sub("", unicodedata.normalize("NFKD", question).casefold().translate(LOOKALIKES))
    text = unicodedata.normalize("NFKC", "".join(one for one in text if unicodedata.category(one) != "Cf")).casefold()
    return " ".join(
        "".join(one if one.isalnum() or unicodedata.category(one)[0] == "M" else " " for one in text).split()
    )


def hash_of(question: str, options: Iterable[str] = ()) -> int:
    """64 bits of the SHA-256 of the normalised question and its options, in any order, with signs as in `HBsAg (-)`."""
    asked = sorted(f"{normalise(one)} {''.join(SIGN.findall(one))}" for one in options)
    return int(records.fingerprint("\n".join([normalise(question), *asked])), 16)


def split_of(text: str, test_share: float, eval_share: float = 1.0) -> str:
    """Train, validation or test: a group's or a question's own content decides, so more rows never move it.

    Other digits of its hash part the last two: another `eval_share`, or another set, asks it in the same split.
    """
    position = hash_of(text)
    if position >= eval_share * 2**64:
        return "train"
    return "test" if position % 2**32 < test_share * 2**32 else "validation"


def split(dataset: Dataset, test_share: float, cleaner: Cleaner) -> Iterator[Row]:
    """Records of the set `train`, and of both splits of `heldout`, each at most as many as params ask for.

    Files are read to their end, so that a broken last line is an error and the rows that no set takes are counted;
    the other sources, one of them endless, no further than needed. Raises UserError, at once, where the source can be
    seen to be wrong before its first row.
    """
    return _split(dataset, test_share, cleaner, *source(dataset))


def _split(
    dataset: Dataset, test_share: float, cleaner: Cleaner, rows: Iterator[Row], columns: dict[str, str], kind: str
) -> Iterator[Row]:
    wanted = {"train": dataset.train_rows, **dict.fromkeys(SPLITS, dataset.eval_rows)}
    for row in rows:
        record = cleaner.clean(row, columns)
        if record is None:
            continue
        name = split_of(record.get("group", record["question"]), test_share, dataset.eval_share)
        if wanted[name]:
            wanted[name] -= 1
            of = {"set": "train"} if name == "train" else {"set": "heldout", "split": name}
            yield {"id": records.fingerprint(record), "kind": kind, **of, **record}
        elif dataset.source == "files":
            cleaner.unused += 1
        if dataset.source != "files" and not any(wanted.values()):
            return
