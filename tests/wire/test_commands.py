"""
The commands of the protocol: AMP takes a misspelt attribute in silence, so each is looked at.
"""

from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster import errors
from jobcluster.core import views, words
from jobcluster.core.values import Terms
from jobcluster.errors import JobclusterError, PeerError, RefusedError, StoreError
from jobcluster.wire import commands
from jobcluster.wire.arguments import Batch, Spread

SHAPES = {
    b"Join": ({b"version": int, b"part": bytes}, {b"terms": Terms | None}),
    b"Report": ({b"batch": words.Report}, {}),
    b"Dispatch": ({b"batch": words.Dispatch}, {}),
    b"Ask": ({b"ask": views.Ask}, {b"reply": views.Reply}),
    b"Leave": ({b"keep": bool}, {}),
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
        elif isinstance(argument, Spread):
            shapes[name] = bytes
    return shapes


class CommandTests(SynchronousTestCase):
    """Each command says what it is meant to say."""

    def setUp(self) -> None:
        """Find them all."""
        self.commands = [
            found
            for found in vars(commands).values()
            if isinstance(found, type) and issubclass(found, amp.Command)
        ]

    def test_shapes(self) -> None:
        """Names, arguments and responses, each of a type of ours."""
        shapes = {
            command.commandName: (shape(command.arguments), shape(command.response))
            for command in self.commands
        }
        self.assertEqual(shapes, SHAPES)
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
