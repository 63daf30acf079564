"""
The command line, as somebody types it, over a cluster in memory.
"""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from jobcluster.cli.main import main
from tests.client.live import LiveCase


class ShellCase(LiveCase):
    """
    A test that types.
    """

    def call(self, *words: str, stdin: str | bytes = "", node: str = "a") -> Result:
        """
        Call C{jobcluster} with these words.
        """
        environ = {"JOBCLUSTER_CONNECT": self.live.socket(node)}
        return CliRunner().invoke(main, words, input=stdin, env=environ, prog_name="jobcluster")

    def say(self, *words: str, stdin: str | bytes = "", code: int = 0, node: str = "a") -> str:
        """
        Call it; what it prints, if it exits with that code.
        """
        result = self.call(*words, stdin=stdin, node=node)
        self.assertEqual(code, result.exit_code, result.output)
        return result.stdout

    def facts(self, *words: str, stdin: str = "", code: int = 0) -> list[dict[str, Any]]:
        """
        The JSON objects that it prints.
        """
        verb, *rest = words
        lines = self.say(verb, "--json", *rest, stdin=stdin, code=code).splitlines()
        return [json.loads(line) for line in lines]

    def complaint(self, *words: str, code: int, stdin: str = "") -> str:
        """
        The one line on standard error, with which it ends with that code.
        """
        result = self.call(*words, stdin=stdin)
        self.assertEqual(code, result.exit_code, result.output)
        [line] = result.stderr.splitlines()
        self.assertTrue(line.startswith("jobcluster: "), line)
        return line
