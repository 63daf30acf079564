"""
C{jobcluster}: each verb.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from jobcluster import __version__
from jobcluster.cli.main import main
from tests.cli.shell import ShellCase


class OneJobTests(ShellCase):
    """
    The verbs for a job.
    """

    def test_submit(self) -> None:
        """
        A command is handed in, and its ticket is printed; the other verbs go by that.
        """
        ticket = self.say("submit", "--name", "n", "--tag", "t", "echo", "-n", "x").strip()
        self.assertIn("exit code 0", self.say("wait", ticket))
        self.assertIn("run echo -n x, name 'n', tags t", self.say("status", ticket))
        self.assertEqual("-n x\n", self.say("logs", ticket))
        [facts] = self.facts("status", ticket)
        self.assertEqual((ticket, "succeeded", "n", ["t"]), tuple(facts[name] for name in FACTS))

    def test_other_node(self) -> None:
        """
        A ticket is good at every node.
        """
        ticket = self.say("submit", "echo", "x").strip()
        self.say("wait", ticket, node="b")
        self.assertEqual("x\n", self.say("logs", ticket, node="b"))

    def test_not_ended(self) -> None:
        """
        What has not ended is told by the exit code, too.
        """
        ticket = self.say("submit", "--sleep", "100000").strip()
        self.assertIn("not executed yet", self.say("result", ticket, code=4))
        self.assertIn("not executed yet", self.say("wait", "--timeout", "0.05", ticket, code=4))
        self.assertIn(ticket, self.say("list"))
        self.say("cancel", ticket)
        self.assertIn("cancelled", self.say("wait", ticket, code=1))
        self.assertIn("Too late", self.say("cancel", ticket))

    def test_several(self) -> None:
        """
        Of several tickets each has a line, with an error where there is one, and the worst counts.
        """
        good = self.say("submit", "echo", "x").strip()
        bad = self.say("submit", "fail", "3", "oops").strip()
        result = self.call("wait", good, bad, "nonsense")
        lines = result.stdout.splitlines()
        self.assertEqual([good, bad], [line.split()[0] for line in lines])
        self.assertIn("failed (exit code 3)", lines[1])
        self.assertRegex(result.stderr, "^jobcluster: nonsense: That is not a ticket.*\n$")
        self.assertEqual(1, result.exit_code)
        facts = self.facts("wait", good, bad, "nonsense", code=1)
        self.assertEqual(["succeeded", "failed"], [each["state"] for each in facts[:2]])
        self.assertIn("That is not a ticket", facts[2]["error"])
        self.assertIn("nonsense", self.call("status", good, "nonsense").stderr)

    def test_run(self) -> None:
        """
        What is run prints here what it prints there, and its exit code is passed on.
        """
        self.assertEqual("hello", self.say("run", "-i", "-", "cat", stdin="hello"))
        result = self.call("run", "fail", "7", "oops")
        self.assertEqual((7, "", "oops\n"), (result.exit_code, result.stdout, result.stderr))
        [facts] = self.facts("run", "--", "echo", "x")
        self.assertEqual(("succeeded", 0, "x\n"), (facts["state"], facts["code"], facts["out"]))

    def test_key(self) -> None:
        """
        The same key is the same job; another one with it is refused.
        """
        one = self.say("submit", "--key", "k", "echo", "1")
        self.assertEqual(one, self.say("submit", "--key", "k", "echo", "1"))
        result = self.call("submit", "--key", "k", "echo", "2")
        self.assertEqual(2, result.exit_code)
        self.assertIn("key of another job", result.stderr)

    def test_logs_follow(self) -> None:
        """
        Output is followed until the job has ended, from an offset on if that is wished.
        """
        ticket = self.say("submit", "slow", "0.3", "0123456789").strip()
        self.assertEqual("0123456789", self.say("logs", "-f", ticket))
        words = ("logs", "-f", "--stream", "out", "--offset", "7", ticket)
        self.assertEqual("789", self.say(*words))
        self.assertEqual("", self.say("logs", "--stream", "err", ticket))
        [piece] = self.facts("logs", ticket)
        self.assertEqual({"offset": 0, "attempt": 1, "out": "0123456789"}, piece)
        self.assertEqual(2, self.call("logs", "--offset", "7", ticket).exit_code)


class ManyJobsTests(ShellCase):
    """
    The verbs for many jobs.
    """

    def test_array(self) -> None:
        """
        A range is one submission of many, whose tickets come in order.
        """
        tickets = self.say("submit", "--array", "8-12", "echo", "n{}").split()
        outs = [self.say("logs", "-f", ticket) for ticket in tickets]
        self.assertEqual([f"n{number}\n" for number in range(8, 13)], outs)
        self.assertEqual(sorted(tickets), tickets)

    def test_lines(self) -> None:
        """
        So are the lines of a file; without a place for them they stand at the end.
        """
        tickets = self.say("submit", "--lines", "-", "echo", stdin="a b\nc\n").split()
        outs = [self.say("logs", "-f", ticket) for ticket in tickets]
        self.assertEqual(["a b\n", "c\n"], outs)
        words = ("submit", "--key", "k", "--lines", "-", "echo")
        tickets = self.say(*words, stdin="same\nsame\n").split()
        self.assertEqual(2, len(set(tickets)))
        self.assertEqual(tickets, self.say(*words, stdin="same\nsame\n").split())

    def test_many(self) -> None:
        """
        Of very many none is forgotten.
        """
        numbers = [str(number) for number in range(2005)]
        tickets = self.say("submit", "--lines", "-", "echo", stdin="\n".join(numbers)).split()
        self.assertEqual(2005, len(set(tickets)))
        self.assertEqual(f"{numbers[1000]}\n", self.say("logs", "-f", tickets[1000]))
        self.assertEqual(f"{numbers[-1]}\n", self.say("logs", "-f", tickets[-1]))

    def test_map(self) -> None:
        """
        Results come in the order of the lines, however long each takes.
        """
        lines = "".join(f"{seconds}\n" for seconds in (0.3, 0.1, 0.0, 0.2))
        self.assertEqual("0.3,0.1,0.0,0.2,", self.say("map", "slow", "{}", "{},", stdin=lines))
        self.assertEqual("", self.say("map", "echo", stdin=""))

    def test_map_failing(self) -> None:
        """
        What does not succeed is told with its line, and the others go on.
        """
        result = self.call("map", "fail", "{}", "oops", stdin="0\n3\n")
        self.assertEqual(1, result.exit_code)
        self.assertEqual(["oops", "oops"], result.stderr.splitlines()[:2])
        self.assertIn("3: a.", result.stderr)
        self.assertIn("failed with exit code 3", result.stderr)
        self.assertIn("1 of 2 did not succeed", result.stderr)

    def test_map_cancelled(self) -> None:
        """
        A line whose job was cancelled is one that did not succeed.
        """
        ticket = self.say("submit", "--key", "m/1", "slow", "1000", "x").strip()
        self.say("cancel", ticket)
        result = self.call("map", "--key", "m", "slow", "{}", "x", stdin="1000\n0\n")
        self.assertEqual((1, "x"), (result.exit_code, result.stdout))
        self.assertIn("1000: " + ticket, result.stderr)
        self.assertIn("cancelled", result.stderr)

    def test_map_again(self) -> None:
        """
        With a key nothing that was handed in runs a second time.
        """
        words = ("map", "--key", "m", "echo")
        first = self.say(*words, stdin="a\nb\n")
        self.assertEqual(first, self.say(*words, stdin="a\nb\n"))
        self.assertEqual("a\nb\nc\n", self.say(*words, stdin="a\nb\nc\n"))
        self.assertEqual(3, len(self.facts("list", "all")))

    def test_list(self) -> None:
        """
        Jobs are listed by state, name and tags, all or so many.
        """
        tickets = self.say("submit", "--array", "1-5", "--name", "n", "echo", "{}").split()
        other = self.say("submit", "--tag", "t", "echo", "x").strip()
        self.say("wait", *tickets, other)
        self.assertEqual("", self.say("list"))
        self.assertEqual(6, len(self.say("list", "succeeded").splitlines()))
        self.assertEqual(2, len(self.say("list", "--limit", "2", "all").splitlines()))
        by_name = self.facts("list", "--name", "n", "all")
        self.assertEqual(tickets, [facts["ticket"] for facts in by_name])
        [by_tag] = self.facts("list", "--tag", "t", "all")
        self.assertEqual(other, by_tag["ticket"])

    def test_nodes(self) -> None:
        """
        The nodes are shown, also live.
        """
        self.assertIn("Balance (eager)", self.say("nodes"))
        [facts] = self.facts("nodes")
        self.assertEqual(["a", "b"], [node["name"] for node in facts["nodes"]])
        self.assertIn("RUNNING", self.say("top", "--looks", "2", "--every", "0.1"))


class UsageTests(ShellCase):
    """
    What is said without a cluster, or is wrong.
    """

    def test_help(self) -> None:
        """
        Every verb says how it is used, and the whole names them all.
        """
        text = self.say("--help")
        self.assertEqual(f"jobcluster, version {__version__}\n", self.say("--version"))
        for verb in main.list_commands(None):  # type: ignore[arg-type]
            self.assertIn(f"  {verb} ", text)
            if verb not in ("balancer", "node"):
                self.assertIn(f"jobcluster {verb}", self.say(verb, "--help"))

    def test_ahead(self) -> None:
        """
        Where the node is, and that facts are wanted, may be said ahead of the verb.
        """
        result = CliRunner().invoke(main, ["--connect", self.live.socket("b"), "--json", "nodes"])
        self.assertEqual(0, result.exit_code, result.output)
        self.assertTrue(result.stdout.startswith("{"))

    def test_nobody(self) -> None:
        """
        Where no node answers there is one line that says what to do.
        """
        result = CliRunner().invoke(main, ["nodes", "--connect", "127.0.0.1:1"])
        self.assertEqual(3, result.exit_code)
        self.assertRegex(result.stderr, r"^jobcluster: No node answers .* start one.*\n$")
        result = CliRunner().invoke(main, ["nodes", "--connect", "nowhere"])
        self.assertEqual(2, result.exit_code)

    def test_nonsense(self) -> None:
        """
        What makes no sense is refused in one line, and nothing is handed in.
        """
        for words, says in (
            (("submit",), "no command"),
            (("submit", "--array", "5-1", "echo"), "FIRST-LAST"),
            (("submit", "--array", "1-2000000", "echo"), "at most"),
            (("submit", "--array", "1-2", "--lines", "-", "echo"), "exclude"),
            (("submit", "--array", "1-2"), "no command"),
            (("submit", "--sleep", "5", "echo"), "no command"),
            (("submit", "--sleep", "-5"), "number of milliseconds"),
            (("submit", "-e", "X", "echo"), "NAME=VALUE"),
            (("submit", "-d", "relative", "echo"), "absolute"),
            (("submit", "-i", "/no/such/file", "echo"), "cannot be read"),
            (("submit", "--priority", "5000", "echo"), "priority"),
            (("submit", "--tag", "a,b", "echo"), "tag"),
        ):
            self.assertIn(says, self.complaint(*words, code=2), words)
        self.assertEqual("", self.say("list", "all"))

    def test_closed_streams(self) -> None:
        """
        What was closed is empty, and what cannot be written is said in one line.
        """
        program = f"exec {sys.executable} -m jobcluster.cli map echo"
        environ = {"JOBCLUSTER_CONNECT": self.live.socket("a"), "PATH": os.defpath}
        for ending, code, says in (
            ("<&-", 0, ""),
            ("<&- >&-", 0, ""),
            ("-n >/dev/full", 1, "jobcluster: cannot read or write: No space left on device\n"),
        ):
            ended = subprocess.run(
                ["/bin/sh", "-c", f"{program} {ending}"],
                env=environ,
                input="x\n",
                capture_output=True,
                check=False,
                text=True,
            )
            self.assertEqual((code, says), (ended.returncode, ended.stderr), ending)

    def test_file(self) -> None:
        """
        Standard input may come from a file of this machine.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"from a file")
        self.assertEqual("from a file", self.say("run", "-i", str(path), "cat"))


FACTS = ("ticket", "state", "name", "tags")
"""Some of what is told of a job."""
