"""
Real programs, run by a real keeper.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.keeper.cases import KeeperCase
from tests.keeper.client import PATH, eventually


class EndTests(KeeperCase):
    """
    How programs end.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k)

    def test_exit_codes(self) -> None:
        """
        An exit code is told, and zero is success.
        """
        for code, status in ((0, "succeeded"), (1, "failed"), (255, "failed")):
            outcome, out, err = self.n.run("sh", "-c", f"exit {code}")
            self.assertEqual((status, code, ""), tuple(outcome[k] for k in _ENDED))
            self.assertEqual((b"", b"", None), (out, err, outcome["run"]))

    def test_signals(self) -> None:
        """
        A signal is told as a negative code.
        """
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP):
            outcome, _, _ = self.n.run("sh", "-c", f"kill -{number:d} $$")
            self.assertEqual(("failed", -number, ""), tuple(outcome[k] for k in _ENDED))

    def test_started_before_ended(self) -> None:
        """
        A start is told before the end, with times that fit together.
        """
        ref = self.n.start("true")
        started = self.n.expect("started").head
        outcome = self.n.expect("ended").head["outcome"]
        self.assertEqual([ref], started["refs"])
        self.assertEqual(started["at"], outcome["started"])
        self.assertLessEqual(outcome["started"], outcome["ended"])

    def test_growing(self) -> None:
        """
        What a run has written is in its files at once, under the number that is told at its start.
        """
        self.n.start("sh", "-c", f"echo said; echo cried >&2; {self.wait_for('go')}")
        [number] = self.n.expect("started").head["numbers"]
        files = [self.k.directory / "runs" / f"{number}.{stream}" for stream in ("out", "err")]
        eventually(lambda: all(file.read_bytes() for file in files), "nothing is written")
        self.assertEqual([b"said\n", b"cried\n"], [file.read_bytes() for file in files])
        self.assertEqual([number], [row.head["number"] for row in self.node(self.k).held])

    def test_together(self) -> None:
        """
        Many at once each get their own outcome.
        """
        refs = [self.n.start("sh", "-c", f"echo {i}; exit {i}") for i in range(40)]
        for i, ref in enumerate(refs):
            outcome, body = self.n.end_of(ref)
            self.assertEqual((i, b"%d\n" % i), (outcome["code"], body))
        self.assertNothingLeft(self.k)

    def test_no_such_program(self) -> None:
        """
        A program that does not exist is a failure that says so, and nothing was started.
        """
        for name in ("no-such-program", "./no-such-program", "/no/such/program", ""):
            outcome, _, _ = self.n.run(name)
            self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
            self.assertEqual(f"no such program: {name}", outcome["detail"])
        self.assertEqual([], self.n.frames)
        self.assertEqual([], self.names("work"))

    def test_not_executable(self) -> None:
        """
        A file that is no program is a failure that says so, found on the path or named.
        """
        plain = self.state / "plain"
        plain.write_text("#!/bin/sh\n")
        for name, more in ((str(plain), {}), ("plain", {b"PATH": bytes(self.state)})):
            outcome, _, _ = self.n.run(name, environment=more)
            self.assertEqual(f"not executable: {plain}", outcome["detail"])
        outcome, _, _ = self.n.run("/")
        self.assertEqual("not executable: /", outcome["detail"])

    def test_not_a_program(self) -> None:
        """
        An executable file of no known form, and a script without its interpreter, say so.
        """
        for text, what in (
            ("hello", "neither a program for this machine nor a script that begins with #!"),
            ("#!/no/interpreter\n", "the interpreter of this script does not exist"),
        ):
            path = self.state / "script"
            path.write_text(text)
            path.chmod(0o700)
            outcome, _, _ = self.n.run(str(path))
            self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
            self.assertEqual(f"{what}: {path}", outcome["detail"])

    def test_too_long(self) -> None:
        """
        An argument list that is too long is a failure that says so.
        """
        outcome, _, _ = self.n.run("true", *(["x" * 100_000] * 40))
        self.assertEqual(
            "the argument list is too long, together with the environment", outcome["detail"]
        )

    def test_directory(self) -> None:
        """
        A working directory that is missing, or is none, is a failure that says so.
        """
        (self.state / "file").touch()
        for name, what in (("missing", "does not exist"), ("file", "is not a directory")):
            path = self.state / name
            outcome, _, _ = self.n.run("true", directory=bytes(path))
            self.assertEqual(f"the working directory {what}: {path}", outcome["detail"])

    def test_nul(self) -> None:
        """
        What no program can be given fails the run alone.
        """
        for argv, more in (
            ((b"true", b"a\0b"), {}),
            ((b"a\0b",), {}),
            ((b"true",), {"environment": {b"A": b"\0"}}),
            ((b"true",), {"environment": {b"": b"x"}}),
            ((b"true",), {"directory": b"\0"}),
        ):
            outcome, _, _ = self.n.run(*argv, **more)
            self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
            self.assertNotIn("\n", outcome["detail"])
            self.assertNotIn("\0", outcome["detail"])

    def test_not_a_command(self) -> None:
        """
        A payload that is no command fails the run alone.
        """
        for payload in (b"", b"{}", b"[]\n", b'{"argv":[]}\n', b'{"argv":"true"}\n'):
            outcome, _ = self.n.end_of(self.n.start_payload(payload))
            self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))


_ENDED = ("status", "code", "detail")


class GivenTests(KeeperCase):
    """
    What programs are given.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k, environment={"PATH": PATH, "LANG": "C", "HOME": "/h\udcff"})

    def test_environment(self) -> None:
        """
        The environment is the node's, what the command says, and the three of the run: no more.
        """
        more = {b"LANG": b"mine", b"BYTES": b"\xff\xfe=\n", b"JOBCLUSTER_NODE": b"forged"}
        ref = self.n.start("env", "-0", environment=more, ticket="t-1", attempt=3)
        _, body = self.n.end_of(ref)
        given = dict(item.split(b"=", 1) for item in body.rstrip(b"\0").split(b"\0"))
        self.assertEqual(
            {
                b"PATH": os.fsencode(PATH),
                b"HOME": b"/h\xff",
                b"LANG": b"mine",
                b"BYTES": b"\xff\xfe=\n",
                b"JOBCLUSTER_TICKET": b"t-1",
                b"JOBCLUSTER_ATTEMPT": b"3",
                b"JOBCLUSTER_NODE": self.name.encode(),
            },
            given,
        )

    def test_arguments(self) -> None:
        """
        Arguments are bytes.
        """
        _, out, _ = self.n.run("printf", "%s|", b"\xff\x80", "ä €", "", "a\nb")
        self.assertEqual(b"\xff\x80|" + "ä €||a\nb|".encode(), out)

    def test_standard_input(self) -> None:
        """
        Standard input comes whole, and is empty if none is given.
        """
        stdin = bytes(range(256)) * 800
        ref = self.n.start("sh", "-c", "wc -c; cat >&2; cat", stdin=stdin)
        outcome, _ = self.n.end_of(ref)
        self.assertEqual("succeeded", outcome["status"])
        outcome, out, _ = self.n.run("cksum", stdin=stdin)
        direct = subprocess.run(["cksum"], input=stdin, capture_output=True, check=True).stdout
        self.assertEqual(direct, out)
        self.assertEqual(b"0\n", self.n.run("wc", "-c")[1])
        self.assertEqual([], [name for name in self.names("runs") if name.endswith(".in")])

    def test_fresh_directory(self) -> None:
        """
        A run has an empty directory of its own, which is gone with all that is in it afterwards.
        """
        script = "pwd; ls -A; mkdir -p a/b/c; touch a/b/c/d x; ln -s / a/root; chmod 0 a/b"
        seen = set()
        for _ in range(3):
            _, out, _ = self.n.run("sh", "-c", script)
            [path] = out.decode().split()
            self.assertEqual(str(self.directory / "work"), os.path.dirname(path))  # noqa: PTH120
            self.assertFalse(Path(path).exists())
            seen.add(path)
        self.assertEqual(3, len(seen))
        self.assertEqual([], self.names("work"))

    def test_untouched_directory(self) -> None:
        """
        What a run has left as it was may be used again, but not what it has changed.
        """
        for script in ("true", "chmod 755 .", "touch x", "touch x; rm x", "true"):
            _, out, _ = self.n.run("sh", "-c", f"pwd; ls -A; stat -c %a .; {script}")
            path, mode = out.decode().split()
            self.assertEqual("700", mode)
            self.assertFalse(Path(path).exists())

    def test_named_directory(self) -> None:
        """
        A run in a directory that it names finds its program and its files there, and leaves them.
        """
        place = self.state / "place"
        place.mkdir()
        (place / "prog").write_text("#!/bin/sh\npwd; echo here > file\n")
        (place / "prog").chmod(0o700)
        _, out, _ = self.n.run("./prog", directory=bytes(place))
        self.assertEqual(f"{place}\n", out.decode())
        self.assertEqual("here\n", (place / "file").read_text())

    def test_path(self) -> None:
        """
        A program is looked for on the path that the run has.
        """
        (self.state / "mine").write_text("#!/bin/sh\necho found\n")
        (self.state / "mine").chmod(0o700)
        path = b"/no/such:" + bytes(self.state)
        self.assertEqual(b"found\n", self.n.run("mine", environment={b"PATH": path})[1])

    def test_signals_and_descriptors(self) -> None:
        """
        A run has the default dispositions, no blocked signal, three descriptors and its own group.
        """
        _, out, _ = self.n.run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
        blocked, ignored = (int(line.split()[1], 16) for line in out.splitlines())
        # 32 and 33 are those of glibc, which ignores them in whatever it spawns.
        self.assertEqual((0, 0), (blocked, ignored & ~(0b11 << 31)))
        _, out, _ = self.n.run("sh", "-c", "ls /proc/$$/fd; ps -o pgid= -p $$; echo $$")
        *descriptors, group, pid = out.split()
        self.assertEqual({b"0", b"1", b"2"}, set(descriptors) - {b"10"})
        self.assertEqual(pid, group)


class OutputTests(KeeperCase):
    """
    What programs write.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k, max_output=1_000_000)

    def test_both_streams(self) -> None:
        """
        Standard output and standard error are told apart.
        """
        _, out, err = self.n.run("sh", "-c", "echo out; echo err >&2; echo more")
        self.assertEqual((b"out\nmore\n", b"err\n"), (out, err))

    def test_binary(self) -> None:
        """
        Output is bytes.
        """
        data = bytes(range(256)) * 4
        self.assertEqual(data, self.n.run("cat", stdin=data)[1])

    def test_closed_output(self) -> None:
        """
        A run that closes its output goes on and ends as any other.
        """
        outcome, out, err = self.n.run("sh", "-c", "echo a; exec >&- 2>&-; sleep 0.1; exit 4")
        self.assertEqual((4, b"a\n", b""), (outcome["code"], out, err))

    def test_limit_of_inline(self) -> None:
        """
        Output of 64 KiB comes with the outcome; one byte more is in the files, until dropped.
        """
        for size, inline in ((65536, True), (65537, False)):
            ref = self.n.start("sh", "-c", f"head -c {size - 5} /dev/zero; printf 12345 >&2")
            outcome, body = self.n.end_of(ref)
            self.assertEqual((size - 5, 5), (outcome["out"], outcome["err"]))
            if inline:
                self.assertEqual((None, size), (outcome["run"], len(body)))
            else:
                self.assertEqual(b"", body)
                out = self.directory / "runs" / f"{outcome['run']}.out"
                self.assertEqual(bytes(size - 5), out.read_bytes())
                self.assertEqual(b"12345", out.with_suffix(".err").read_bytes())
            self.n.frames.clear()
            self.n.say("drop", refs=[ref])
            self.assertEqual([ref], self.n.expect("dropped").head["refs"])
            self.assertEqual([], self.names("runs"))

    def test_too_much(self) -> None:
        """
        Output over the limit ends the run; what is over it is cut off.
        """
        ref = self.n.start("sh", "-c", "echo why >&2; exec yes")
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
        self.assertEqual("its output was over the limit of 1000000 bytes", outcome["detail"])
        self.assertEqual((999_996, 4), (outcome["out"], outcome["err"]))
        out = self.directory / "runs" / f"{outcome['run']}.out"
        self.assertEqual(999_996, out.stat().st_size)
        self.assertNothingLeft(self.k)

    def test_too_much_at_once(self) -> None:
        """
        A run that has ended before anybody looked is over the limit too.
        """
        ref = self.n.start("sh", "-c", "head -c 1000001 /dev/zero >&2")
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
        self.assertEqual((0, 1_000_000), (outcome["out"], outcome["err"]))

    def test_output_kept(self) -> None:
        """
        What was told once is told again to each node that comes, until it is dropped.
        """
        ref = self.n.start("sh", "-c", "echo out; echo err >&2")
        self.n.end_of(ref)
        for _ in range(2):
            again = self.node(self.k)
            [held] = again.held
            self.assertEqual((ref, "ended"), (held.head["ref"], held.head["state"]))
            self.assertEqual(b"out\nerr\n", held.body)
        again.say("drop", refs=[ref])
        again.expect("dropped")
        self.assertEqual([], self.node(self.k).held)
