"""
The page of promises, held against the tests that it names; and the promise that has no other place.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from jobcluster import balancer_tap, node_tap
from jobcluster.endpoints import is_beyond_loopback

CHECKOUT = Path(__file__).resolve().parent.parent

PROMISES = [f"C{number}" for number in range(1, 10)]


def promises(page: str) -> dict[str, list[str]]:
    """
    The tests that a page names, by the promise in whose section they stand.
    """
    found: dict[str, list[str]] = {}
    promise = ""
    lines = page.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        heading = re.match(r"(C\d+): ", line)
        if heading and below.startswith("---"):
            promise = heading[1]
            found[promise] = []
        found.setdefault(promise, []).extend(re.findall(r"``(tests\.[\w.]+)``", line))
    return found


def names_in(source: str) -> Iterator[str]:
    """
    The tests of a module: functions, and methods behind the name of their class.
    """
    for node in ast.parse(source).body:
        inner = [(f"{node.name}.", node.body)] if isinstance(node, ast.ClassDef) else [("", [node])]
        for prefix, body in inner:
            for part in body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield prefix + part.name


def exists(test: str) -> bool:
    """
    Whether there is a test of this dotted name.
    """
    parts = test.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = CHECKOUT.joinpath(*parts[:length]).with_suffix(".py")
        if module.is_file():
            name = ".".join(parts[length:])
            return parts[-1].startswith("test") and name in names_in(module.read_text("utf-8"))
    return False


class PageTests(SynchronousTestCase):
    """
    C{docs/contract.rst}.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.page = promises((CHECKOUT / "docs" / "contract.rst").read_text("utf-8"))

    def test_every_promise_is_proved(self) -> None:
        """
        Every promise is there, and names at least one test.
        """
        self.assertEqual(PROMISES, [promise for promise in self.page if promise])
        self.assertEqual([], [promise for promise in PROMISES if not self.page[promise]])

    def test_every_test_exists(self) -> None:
        """
        Every test that is named is there.
        """
        named = [test for names in self.page.values() for test in names]
        self.assertEqual([], [test for test in named if not exists(test)])

    def test_no_test_is_named_twice(self) -> None:
        """
        Within a promise each test stands once.
        """
        for names in self.page.values():
            self.assertEqual(len(names), len(set(names)))


class ReadingTests(SynchronousTestCase):
    """
    How the page is read, and how tests are looked for.
    """

    def test_sections(self) -> None:
        """
        A test belongs to the heading above it; other code and other headings do not count.
        """
        page = """
            C1: one
            -------

            ``tests.a.test_b`` and ``jobcluster.c``

            C2: two
            -------
            C3: not a heading
        """
        self.assertEqual({"": [], "C1": ["tests.a.test_b"], "C2": []}, promises(dedent(page)))

    def test_methods_and_functions(self) -> None:
        """
        Methods are found behind their class, functions and coroutines by themselves.
        """
        source = """
            async def test_one(): ...
            class Tests:
                LIMIT = 1
                def test_two(self): ...
        """
        self.assertEqual(["test_one", "Tests.test_two"], list(names_in(dedent(source))))

    def test_what_exists(self) -> None:
        """
        Modules, classes and methods that are not there are missed; so is what is no test.
        """
        for test, there in (
            (self.id(), True),
            ("tests.test_contract.ReadingTests.test_nothing", False),
            ("tests.test_contract.Nothing.test_what_exists", False),
            ("tests.test_nothing.Tests.test_it", False),
            ("tests.test_contract.exists", False),
        ):
            self.assertEqual((test, there), (test, exists(test)))


class ListeningTests(SynchronousTestCase):
    """
    C9: nothing listens beyond loopback without a loud option.
    """

    def start(self, *options: str) -> list[str]:
        """
        Have both daemons look at their options, as twistd does before anything else.

        @return: what each said, empty if it would start.
        """
        said = []
        for daemon in (balancer_tap.Options(), node_tap.Options()):
            try:
                daemon.parseOptions([option.format(daemon.listening) for option in options])
            except SystemExit as refused:
                said.append(str(refused))
            else:
                said.append("")
        return said

    def test_beyond_loopback(self) -> None:
        """
        An endpoint that other machines can reach is refused with one line that says what to do.
        """
        for endpoint in ("tcp:0", "tcp:0:interface=0.0.0.0", "tcp:0:interface=\\:\\:"):
            for said in self.start("--{}", endpoint):
                self.assertIn("--trust-network", said)
                self.assertEqual(1, len(said.splitlines()))

    def test_loopback(self) -> None:
        """
        Loopback and UNIX sockets are not refused.
        """
        for endpoint in ("tcp:0:interface=127.0.0.1", "tcp:0:interface=\\:\\:1", "unix:/tmp/it"):
            self.assertEqual(["", ""], self.start("--{}", endpoint))

    def test_trusted(self) -> None:
        """
        With the option nothing is refused.
        """
        self.assertEqual(["", ""], self.start("--{}", "tcp:0", "--trust-network"))

    def test_in_doubt(self) -> None:
        """
        What is not known to be loopback is taken to be beyond it.
        """
        for endpoint in ("tcp:9000:interface=localhost.example", "ssl:9000:interface=127.0.0.1"):
            self.assertTrue(is_beyond_loopback(endpoint))
