"""
What the help says.
"""

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.grammar import parse
from jobcluster.consoles.requests import Say

VERBS = (
    "sleep",
    "run",
    "call",
    "status",
    "result",
    "r",
    "wait",
    "output",
    "tail",
    "list",
    "getall",
    "cancel",
    "nodes",
    "prompt",
    "help",
    "exit",
)


class HelpTests(SynchronousTestCase):
    """
    What can be typed is told.
    """

    def says(self, line: str) -> str:
        """
        What a line is answered without asking anybody.
        """
        request = parse(line)
        if not isinstance(request, Say):
            self.fail(f"{line} says nothing")
        return request.text

    def test_overview(self) -> None:
        """
        Every verb has its line.
        """
        first_words = [line.split()[0] for line in self.says("help").splitlines()[1:]]
        self.assertEqual([verb for verb in VERBS if verb != "r"], first_words)

    def test_verbs(self) -> None:
        """
        Every verb has its explanation, of one line.
        """
        for verb in VERBS:
            said = self.says(f"help {verb}")
            self.assertTrue(said.isprintable())
            self.assertIn("TICKET" if verb == "r" else verb, said)

    def test_once(self) -> None:
        """
        What C{--once} means is explained.
        """
        self.assertIn("with --once it is run at most once", self.says("help sleep"))

    def test_commands(self) -> None:
        """
        What a command line may be, and what is answered with its output, is explained.
        """
        said = self.says("help run")
        for words in (
            "[--once] [--key KEY] [--name NAME] [--tag TAG]... [--priority N]",
            "[-e NAME=VALUE]... [-d DIRECTORY] [-i TEXT]",
            "nothing is expanded",
            "--",
        ):
            self.assertIn(words, said)
        self.assertIn("Output: N bytes, M bytes", self.says("help output"))
