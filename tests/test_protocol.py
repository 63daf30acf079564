"""
The page of the client protocol, held against the code; and how the page is read.
"""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, get_args, get_type_hints

import attrs
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster import errors
from jobcluster.config import CLIENT_PORT
from jobcluster.consoles.amp import (
    _CALLS,
    _PAGE,
    _PATIENCE,
    _PIECE,
    JOBS_AT_ONCE,
    TICKETS_AT_ONCE,
)
from jobcluster.consoles.rows import SHOWN_AT_ONCE
from jobcluster.consoles.watching import _UNANSWERED, MOST_WATCHED
from jobcluster.core.client_words import CLIENT_VERSION, Greeting, Listing, Shown, Told
from jobcluster.core.commands import LONGEST
from jobcluster.core.description import (
    ADMITTED_LABEL,
    MAX_KEY,
    MAX_LABELS,
    MAX_NAME,
    MAX_PRIORITY,
    MAX_TAG,
    MAX_TAGS,
)
from jobcluster.core.payloads import MAX_SLEEP
from jobcluster.core.values import Outcome, Spec, Status
from jobcluster.core.views import (
    STATES,
    BalanceView,
    ClusterView,
    JobView,
    NodeView,
    Piece,
)
from jobcluster.services.following import MOST_PATIENCE
from jobcluster.wire import client_commands
from jobcluster.wire.arguments import PIECE, Batch, Many
from jobcluster.wire.box import _ENTRY, BOX_LIMIT, UNREAD_LIMIT
from jobcluster.wire.calls import CALL_LIMIT

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "protocol.rst"

MAPS: Final[list[type]] = [Spec, Greeting, Listing, ClusterView, Piece]
"""Of these a field that has its default is left out."""

FULL_MAPS: Final[list[type]] = [JobView, NodeView, BalanceView]
ROWS: Final[list[type]] = [Told, Shown, Outcome]

WORDS: Final = {bool: "boolean", int: "integer", float: "float", str: "string", type(None): "nil"}

DEFAULTS: Final = {"": "empty", b"": "empty", (): "``[]``", False: "``false``"}

LIMITS: Final = [
    f"{PIECE:,}",
    f"{BOX_LIMIT >> 20} MiB",
    f"{UNREAD_LIMIT >> 20} MiB",
    f"{_CALLS:,}",
    f"{JOBS_AT_ONCE:,}",
    f"{TICKETS_AT_ONCE:,}",
    f"{MOST_WATCHED:,}",
    f"{_PAGE:,}",
    f"{_PIECE >> 10} KiB",
    f"{SHOWN_AT_ONCE >> 20} MiB",
    f"{_PATIENCE:,.0f}",
    f"{MOST_PATIENCE:,.0f}",
    f"{_UNANSWERED:,}",
    f"{CALL_LIMIT:,.0f}",
    *(f"{most:,}" for most in (MAX_KEY, MAX_NAME, MAX_TAG, MAX_TAGS, MAX_LABELS)),
    f"{MAX_PRIORITY:,}",
    f"{MAX_SLEEP:,}",
    f"{LONGEST:,.0f}",
]
"""As they stand in their table, in that order."""


def sections(page: str) -> dict[str, str]:
    """
    What stands under each heading of a page, up to the next one of any kind.
    """
    parts = re.split(r"(?m)^(.+)\n(?:={3,}|-{3,}|~{3,})\n", page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table(text: str) -> list[list[str]]:
    """
    The rows of all simple tables of a text, without headings; of each the first line.
    """
    found: list[list[str]] = []
    columns: list[slice] = []
    rulers = 0
    for line in text.splitlines():
        if re.fullmatch(r"={3,}(?: +={3,})+", line):
            rulers = rulers % 3 + 1
            starts = [match.start() for match in re.finditer("=+", line)]
            columns = [slice(*ends) for ends in zip(starts, [*starts[1:], None], strict=True)]
        elif rulers == 2 and line[:1].strip():
            found.append([line[column].strip() for column in columns])
    return found


def word_of(kind: Any) -> str:  # noqa: ANN401 - an annotation
    """
    What the page calls a type.
    """
    if kind is bytes:
        return "bytes"
    parts = get_args(kind)
    if parts and parts[-1] is Ellipsis:
        return f"array of {word_of(parts[0])}"
    if parts:
        return " or ".join(map(word_of, parts))
    return WORDS.get(kind) or str(kind.__name__)


def word_of_argument(argument: amp.Argument) -> str:
    """
    What the page calls the type of an argument.
    """
    if isinstance(argument, Many):
        return f"array of {word_of(argument.kind)}"
    return word_of(argument.kind) if isinstance(argument, Batch) else "bytes"


def default_of(field: "attrs.Attribute[Any]") -> str:
    """
    How the page says a field's default.
    """
    if field.default is attrs.NOTHING:
        return ""
    is_flag = isinstance(field.default, bool)
    if isinstance(field.default, int) and not is_flag:
        return f"``{field.default}``"
    return DEFAULTS.get(field.default) or f"``{field.default}``"


class PageTests(SynchronousTestCase):
    """
    C{docs/protocol.rst}.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.page = PAGE.read_text("utf-8")
        self.sections = sections(self.page)

    def test_commands(self) -> None:
        """
        Every command is there, with each of its arguments and all of its response: name, type, and
        which of the two it is.
        """
        for name in client_commands.__all__:
            command: type[amp.Command] = getattr(client_commands, name)
            expected = [
                [f"``{key.decode()}``", where, word_of_argument(argument)]
                for where, parts in (("call", command.arguments), ("response", command.response))
                for key, argument in parts
            ]
            self.assertIn(name, self.sections)
            self.assertEqual(expected, [row[:3] for row in table(self.sections[name])], name)

    def test_no_other_commands(self) -> None:
        """
        No other command is there.
        """
        commands = self.page.partition("\nCommands\n---")[2].partition("\nKinds of values\n---")[0]
        self.assertEqual({*client_commands.__all__}, {*sections(commands)})

    def test_fields(self) -> None:
        """
        Every field of every value is there with its type, in order; and with its default, where it
        is left out when it has that.
        """
        for kind in [*MAPS, *FULL_MAPS, *ROWS]:
            hints = get_type_hints(kind)
            names = [*getattr(kind, "_fields", hints)]
            text = self.sections[kind.__name__]
            rows = table(text)[: len(names)]
            expected = [[f"``{name}``", word_of(hints[name])] for name in names]
            self.assertEqual(expected, [row[:2] for row in rows], kind)
            self.assertTrue(text.strip().startswith("An array" if kind in ROWS else "A map"), kind)
            if kind in MAPS:
                fields = attrs.fields(kind)
                self.assertEqual([*map(default_of, fields)], [row[2] for row in rows], kind)

    def test_words(self) -> None:
        """
        Every status of an outcome is there, and every state that can be asked for.
        """
        statuses = {value for name, value in vars(Status).items() if name.isupper()}
        for status in statuses:
            self.assertIn(f"``{status}``", self.sections["Outcome"])
        for state in {*STATES} - statuses:
            self.assertIn(f"``{state}``", self.sections["Listing"])
        label = ADMITTED_LABEL.replace(". _ = -", "``. _ = -``").partition(", the first")[0]
        self.assertIn(f"a label of {label}", self.sections["Spec"])

    def test_limits(self) -> None:
        """
        The limits are those of the code.
        """
        text = self.sections["Limits"]
        self.assertEqual(LIMITS, [row[1] for row in table(text)])
        self.assertIn(f"bytes of a box, with {_ENTRY} more for each key", text)

    def test_errors(self) -> None:
        """
        Every error is there, and no other; most of them with their meaning.
        """
        text = self.sections["Errors"]
        named = {*re.findall(r"``(\w+Error)``", text)}
        self.assertEqual({*errors.__all__}, named)
        explained = [row[0].strip("`") for row in table(text)]
        self.assertEqual(len(explained), len({*explained}))
        self.assertGreater(len(explained), len(named) / 2)

    def test_place(self) -> None:
        """
        The version and the default port are those of the code.
        """
        self.assertIn(f"This is version {CLIENT_VERSION}.", self.sections["Versions"])
        self.assertIn(f"version={CLIENT_VERSION})", self.sections["An example"])
        port = CLIENT_PORT.split(":")[1]
        self.assertIn(f"on port {port} of the loopback interface", self.sections["Connecting"])


class ReadingTests(SynchronousTestCase):
    """
    How the page is read.
    """

    def test_sections(self) -> None:
        """
        A section ends at the next heading, whichever that is.
        """
        page = "A page\n======\nfor\n\nOne\n---\n1\n\nTwo\n~~~\n2\n"
        self.assertEqual({"A page": "for\n\n", "One": "1\n\n", "Two": "2\n"}, sections(page))

    def test_table(self) -> None:
        """
        Headings, further lines of a row and what is in no table do not count; cells may be empty.
        """
        text = """
            Words.

            =====  =====  ======
            name   type   meaning
            =====  =====  ======
            ``a``  bytes  long
                          words
            ``b``         short
            =====  =====  ======

            More.

            ====  ====
            c     d
            ====  ====
            1     2
            ====  ====
        """
        expected = [["``a``", "bytes", "long"], ["``b``", "", "short"], ["1", "2"]]
        self.assertEqual(expected, table(dedent(text)))

    def test_types(self) -> None:
        """
        Types have words.
        """
        kinds = {str: "string", tuple[str, ...]: "array of string", bytes: "bytes", Spec: "Spec"}
        for kind, word in kinds.items():
            self.assertEqual(word, word_of(kind))
        self.assertEqual("integer or nil", word_of(get_type_hints(Outcome)["code"]))
