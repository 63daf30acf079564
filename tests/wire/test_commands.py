"""
The commands of the protocol: AMP takes a misspelt attribute in silence, so each is looked at.
"""

from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster import errors
from jobcluster.core import client_words, views, words
from jobcluster.core.values import Spec, Terms
from jobcluster.errors import JobclusterError, PeerError, RefusedError, StoreError
from jobcluster.wire import client_commands, commands
from jobcluster.wire.arguments import Batch, Many, Spread

SHAPES = {
    b"Join": ({b"version": int, b"part": bytes}, {b"terms": Terms | None}),
    b"Report": ({b"batch": words.Report}, {}),
    b"Dispatch": ({b"batch": words.Dispatch}, {}),
    b"Ask": ({b"ask": views.Ask}, {b"reply": views.Reply}),
    b"Leave": ({b"keep": bool}, {}),
}
SHAPES_FOR_CLIENTS = {
    b"Hello": ({b"version": int}, {b"greeting": client_words.Greeting}),
    b"Submit": (
        {b"jobs": tuple[Spec, ...], b"watch": bool},
        {b"rows": tuple[client_words.Told, ...]},
    ),
    b"Query": ({b"tickets": tuple[str, ...]}, {b"rows": tuple[client_words.Shown, ...]}),
    b"Wait": (
        {b"tickets": tuple[str, ...], b"patience": float},
        {b"rows": tuple[client_words.Shown, ...]},
    ),
    b"Watch": ({b"tickets": tuple[str, ...]}, {}),
    b"Unwatch": ({b"tickets": tuple[str, ...]}, {}),
    b"Changed": ({b"rows": tuple[client_words.Shown, ...]}, {}),
    b"Fetch": (
        {b"ticket": str, b"stream": str, b"offset": int, b"limit": int},
        {b"data": bytes},
    ),
    b"Follow": (
        {b"ticket": str, b"stream": str, b"offset": int, b"limit": int}
        | {b"patience": float, b"attempt": int},
        {b"piece": views.Piece},
    ),
    b"Cancel": ({b"tickets": tuple[str, ...]}, {b"rows": tuple[client_words.Told, ...]}),
    b"List": ({b"listing": client_words.Listing}, {b"rows": tuple[client_words.Shown, ...]}),
    b"Nodes": ({}, {b"cluster": views.ClusterView}),
}
"""Arguments and response of each."""

ATTRIBUTES = {"arguments", "response", "errors"}
"""What a command of ours says about itself."""

MADE_BY_AMP = {"allErrors", "reverseErrors", "commandName"}


def shape(arguments: list[tuple[bytes, amp.Argument]]) -> dict[bytes, object]:
    """
    Names and types.
    """
    shapes: dict[bytes, object] = {}
    for name, argument in arguments:
        if isinstance(argument, Batch):
            kind: object = argument.kind
            shapes[name] = argument.kind | None if argument.optional else kind
        elif isinstance(argument, Many):
            shapes[name] = tuple[argument.kind, ...]  # type: ignore[name-defined]
        elif isinstance(argument, Spread):
            shapes[name] = bytes
    return shapes


class CommandTests(SynchronousTestCase):
    """Each command says what it is meant to say."""

    def setUp(self) -> None:
        """Find them all."""
        self.commands = [
            found
            for found in (*vars(commands).values(), *vars(client_commands).values())
            if isinstance(found, type) and issubclass(found, amp.Command)
        ]

    def test_shapes(self) -> None:
        """Names, arguments and responses, each of a type of ours."""
        shapes = {
            command.commandName: (shape(command.arguments), shape(command.response))
            for command in self.commands
        }
        self.assertEqual(shapes, SHAPES | SHAPES_FOR_CLIENTS)
        for command in self.commands:
            for _, argument in [*command.arguments, *command.response]:
                self.assertIsInstance(argument, Spread)

    def test_attributes(self) -> None:
        """No attribute that AMP does not know."""
        for command in self.commands:
            public = {name for name in vars(command) if not name.startswith("_")}
            self.assertLessEqual(public, ATTRIBUTES | MADE_BY_AMP, command)
            self.assertIn("arguments", public)

    def test_errors(self) -> None:
        """Every command declares every error, and has an answer of its own for each."""
        for command in self.commands:
            self.assertTrue(command.requiresAnswer)
            made = vars(command)
            self.assertEqual(made["allErrors"], commands.ERRORS)
            self.assertEqual(len(made["reverseErrors"]), len(commands.ERRORS))


class ErrorTests(SynchronousTestCase):
    """The table of errors."""

    def test_complete(self) -> None:
        """It has every error there is, by its name."""
        self.assertEqual(
            {kind.__name__ for kind in commands.ERRORS},
            set(errors.__all__),
        )
        self.assertEqual(commands.ERRORS[RefusedError], b"RefusedError")

    def test_order(self) -> None:
        """A kind stands behind all that are of that kind: AMP takes the first that fits."""
        order = list(commands.ERRORS)
        for place, kind in enumerate(order):
            for earlier in order[:place]:
                self.assertFalse(issubclass(kind, earlier), (earlier, kind))

    def test_codeOf(self) -> None:
        """An error that is not in the table goes as the nearest kind that is."""

        class NewError(StoreError):
            """New."""

        self.assertEqual(commands.code_of(RefusedError()), b"RefusedError")
        self.assertEqual(commands.code_of(NewError()), b"StoreError")
        self.assertEqual(commands.code_of(PeerError("x")), b"PeerError")
        self.assertEqual(commands.code_of(JobclusterError()), b"JobclusterError")
