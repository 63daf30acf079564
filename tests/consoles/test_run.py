"""
Commands: how they are typed, and what becomes of what was typed.
"""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.grammar import parse
from jobcluster.consoles.lines import LINE_LIMIT, LineFilter
from jobcluster.consoles.requests import Submit
from jobcluster.consoles.shell import join, quote
from jobcluster.core.commands import COMMAND, Command, unpack_command
from jobcluster.core.values import OnNodeLoss
from jobcluster.errors import UserError
from tests.consoles.cases import ConsoleCase
from tests.consoles.rig import FIRST_JOB, ticket

TYPED = st.binary(max_size=20).map(lambda data: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", data))
"""What can be typed into a line."""


def asked(line: str) -> Command:
    """
    The command that a line asks for.
    """
    request = parse(line)
    if not isinstance(request, Submit):
        raise TypeError(f"{line} submits nothing")
    return unpack_command(request.spec.payload)


class ReadTests(SynchronousTestCase):
    """
    What lines ask for.
    """

    def assertRefused(self, line: str, *reasons: str) -> None:
        """
        Have a line refused, in one line, for these reasons.
        """
        error = self.assertRaises(UserError, parse, line)
        self.assertTrue(str(error).isprintable())
        self.assertTrue(len(str(error)) < 250)
        for reason in reasons:
            self.assertIn(reason, str(error))

    def test_command(self) -> None:
        """
        The words behind the verb are the program and its arguments, its own options included.
        """
        for line, *argv in (
            ("run true", b"true"),
            ("  RUN\tls  -l '/a b' ", b"ls", b"-l", b"/a b"),
            ("run sh -c 'kill -9 $$'", b"sh", b"-c", b"kill -9 $$"),
            ("run cat -e -- -d", b"cat", b"-e", b"--", b"-d"),
            ("run -- -odd --", b"-odd", b"--"),
            ("run A=1 x", b"A=1", b"x"),
            ("run echo a\\ ", b"echo", b"a "),
            ("run echo ' x ' ", b"echo", b" x "),
            ("run echo ''", b"echo", b""),
            ("run écho", "écho".encode()),
        ):
            self.assertEqual(Command(tuple(argv)), asked(line), line)

    def test_once(self) -> None:
        """
        A job is run at most once where that is wished, by the command's own word never.
        """
        for line, wished in (
            ("run true", OnNodeLoss.AGAIN),
            ("run --once true", OnNodeLoss.FAIL),
            ("run -i a --once -- true", OnNodeLoss.FAIL),
            ("run true --once", OnNodeLoss.AGAIN),
            ("run -- --once", OnNodeLoss.AGAIN),
        ):
            request = parse(line)
            self.assertEqual(
                wished, request.spec.on_node_loss if isinstance(request, Submit) else ""
            )

    def test_options(self) -> None:
        """
        Variables, a directory and the standard input are said ahead of the command.
        """
        self.assertEqual(
            Command(
                (b"env",),
                ((b"A", b"1=2"), (b"B", b""), (b"C", b"x y")),
                b"/tmp/a b",
                b"no newline ",
            ),
            asked("run -e A=1=2 -d '/tmp/a b' -e B= -i 'no newline ' -e 'C=x y' -- env"),
        )
        self.assertEqual((b"", None), asked("run -i '' cat")[3:1:-1])
        self.assertEqual(((b"A", b"2"),), asked("run -e A=1 -e A=2 env").environment)

    def test_kind(self) -> None:
        """
        It is a command, and is run again if it is lost.
        """
        request = parse("run true")
        if not isinstance(request, Submit):
            self.fail("nothing is submitted")
        self.assertEqual(COMMAND, request.spec.kind)
        self.assertEqual(OnNodeLoss.AGAIN, request.spec.on_node_loss)

    def test_description(self) -> None:
        """
        What may be said of any job is said ahead of the command, among its other options.
        """
        request = parse(
            "run --key k -e A=1 --name n --tag b --priority +7 --require y --tag a --require x"
            " -- env --key x"
        )
        if not isinstance(request, Submit):
            self.fail("nothing is submitted")
        spec = request.spec
        self.assertEqual(("k", "n", ("b", "a"), 7), (spec.key, spec.name, spec.tags, spec.priority))
        self.assertEqual("x,y", spec.requires)
        wanted = Command((b"env", b"--key", b"x"), ((b"A", b"1"),))
        self.assertEqual(wanted, unpack_command(spec.payload))

    def test_no_command(self) -> None:
        """
        Without a command there is the usage.
        """
        for line in ("run", "run ", "run --", "run -e A=1", "run -d / --"):
            self.assertRefused(line, "no command", "run [--once]", "[-e NAME=VALUE]")
        self.assertRefused("run ''", "empty")

    def test_unfinished(self) -> None:
        """
        Quotes have to be closed.
        """
        self.assertRefused("run echo 'a", "not closed", "'")
        self.assertRefused('run echo "a\\"', "not closed", '"')
        self.assertRefused("run echo \\", "single \\")

    def test_options_that_are_none(self) -> None:
        """
        Options that do not exist, or lack their value, are told from those that do.
        """
        for word in ("-x", "-eA=1", "-", "--twice", "-id", "'-x y'", "-" + "x" * 100_000):
            self.assertRefused(f"run {word} true", "no option", "-e, -d, -i, -t and --once")
        self.assertRefused("run -e", "NAME=VALUE")
        self.assertRefused("run -i", "standard input")
        self.assertRefused("run -d", "directory")

    def test_variables(self) -> None:
        """
        A variable has a name and a sign.
        """
        self.assertRefused("run -e A true", "'A'", "no '='")
        self.assertRefused("run -e =1 true", "'=1'", "no name")
        self.assertRefused("run -e '' true", "no '='")

    def test_directories(self) -> None:
        """
        A directory is named from the root: nobody knows which node will run it.
        """
        for word in ("tmp", "./a", "~", "''", "\udcff"):
            self.assertRefused(f"run -d {word} true", "absolute")

    def test_limits(self) -> None:
        """
        A time limit is a number of seconds, more than none.
        """
        self.assertEqual(2.5, asked("run -t 2.5 true").limit)
        self.assertEqual(60.0, asked("run -t 60 -- true -t 1").limit)
        self.assertEqual(0.0, asked("run true").limit)
        for word in ("0", "0.0", "-1", "+1", "1e3", "nan", "inf", "5s", "1.", "''", "9999999999"):
            self.assertRefused(f"run -t {word} true", "-t wants the seconds")
        self.assertRefused("run -t", "seconds")

    def test_twice(self) -> None:
        """
        There is one directory, one standard input and one time limit.
        """
        self.assertRefused("run -t 1 -t 2 true", "-t is given twice")
        self.assertRefused("run -d /a -d /b true", "-d is given twice")
        self.assertRefused("run -i '' -i a true", "-i is given twice")

    def test_nul(self) -> None:
        """
        A NUL byte, should one come, is told to be impossible; standard input may have it.
        """
        for line in ("run a\0", "run a \0", "run -e A=\0 a", "run -e \0=1 a", "run -d /\0 a"):
            self.assertRefused(line, "NUL")
        self.assertEqual(b"\0", asked("run -i \0 cat").stdin)

    @given(
        st.lists(TYPED, min_size=1).filter(lambda argv: argv[0] != b""),
        st.dictionaries(TYPED.filter(lambda name: name and b"=" not in name), TYPED),
        st.none() | TYPED,
        TYPED,
    )
    def test_any_bytes(
        self,
        argv: list[bytes],
        environment: dict[bytes, bytes],
        directory: bytes | None,
        stdin: bytes,
    ) -> None:
        """
        Whatever bytes can be typed are passed on as they are.
        """
        wanted = Command(
            tuple(argv),
            tuple(environment.items()),
            None if directory is None else b"/" + directory,
            stdin,
        )
        words = [b"run", b"-i", stdin]
        for name, value in wanted.environment:
            words += [b"-e", name + b"=" + value]
        if wanted.directory is not None:
            words += [b"-d", wanted.directory]
        line = join([*words, b"--", *argv])
        [item] = LineFilter().feed(line.replace(b"\xff", b"\xff\xff") + b"\n")
        if not isinstance(item, str):
            self.fail(f"{line!r} was not read")
        self.assertEqual(wanted, asked(item))


class SubmitTests(ConsoleCase):
    """
    Commands in a session.
    """

    def test_ticket(self) -> None:
        """
        A command has its ticket as a sleep has, and is submitted together with sleeps.
        """
        typist = self.connect()
        typist.type("0\nrun true\nrun 'x\nrun -e A=1 env\n")
        lines = self.heard(typist).decode().splitlines()
        self.assertEqual([f"Ticket ID: {ticket(n)}" for n in range(3)], lines[:2] + lines[3:])
        self.assertTrue(lines[2].startswith("Error: A quote is not closed"))
        self.assertEqual([3], typist.cluster.batches)

    def test_keys(self) -> None:
        """
        A line that is typed again with its key has the same ticket; another job with the key is
        refused in one line, and those around it are taken.
        """
        typist = self.connect()
        typist.type("run --key k true\nrun --key k true\nrun --key k false\n0\n")
        first, again, refused, other = self.heard(typist).decode().splitlines()
        self.assertEqual([f"Ticket ID: {ticket(0)}"] * 2, [first, again])
        self.assertTrue(refused.startswith("Error: That key is the key of another job"))
        self.assertEqual(f"Ticket ID: {ticket(1)}", other)
        self.assertEqual([4], typist.cluster.batches)

    def test_names(self) -> None:
        """
        Names and tags are shown by status, and jobs are listed by them.
        """
        typist = self.connect()
        typist.type("run --name 'a b' --tag y --tag x true\nrun true\n")
        self.heard(typist)
        typist.type(f"status {ticket(0)}\nlist name='a b' tag=x\n")
        status, row, count = self.heard(typist, 1).decode().splitlines()
        self.assertIn(", run true, name 'a b', tags x y, submitted ", status)
        self.assertTrue(row.startswith(ticket(0)))
        self.assertEqual("Jobs: 1", count)

    def test_standard_input(self) -> None:
        """
        200 KB of standard input come in one line, whatever bytes they are.
        """
        typist = self.connect()
        text = bytes(range(0x80, 0xFF)) * 1600
        line = b"run -i " + quote(text) + b" cat\n"
        self.assertTrue(200_000 < len(line) < LINE_LIMIT)
        typist.type(line)
        self.assertEqual(f"Ticket ID: {ticket(0)}\n".encode(), self.heard(typist))
        self.assertEqual(text, unpack_command(typist.cluster.table[FIRST_JOB].payload).stdin)

    def test_too_long(self) -> None:
        """
        A command line is no longer than other lines.
        """
        typist = self.connect()
        typist.type(b"run echo " + b"x" * LINE_LIMIT)
        self.assertIn(b"more than 262144 bytes", self.heard(typist))

    def test_nul(self) -> None:
        """
        A line with a NUL byte is not run, and the session goes on.
        """
        typist = self.connect()
        typist.type(b"run echo a\0b\nrun true\n")
        first, second = self.heard(typist).splitlines()
        self.assertIn(b"control characters", first)
        self.assertTrue(second.startswith(b"Ticket ID"))
