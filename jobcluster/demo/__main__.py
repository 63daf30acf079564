"""
C{python -m jobcluster.demo}: run the demonstration, and exit with 0 if all was as it should be.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.demo.daemons import DemoFailedError
from jobcluster.demo.screen import Screen
from jobcluster.demo.story import tell

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end the demonstration before its time."""


def _make_screen() -> Screen:
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    columns = shutil.get_terminal_size().columns if live else 100
    return Screen(partial(print, end="", flush=True), columns=columns, live=live)


def main() -> int:
    """
    Run the demonstration.

    @return: the status to exit with: 0, 1 if something was wrong, or 128 and the number of the
        signal that ended it.
    """
    from twisted.internet import reactor as installed  # noqa: PLC0415 - importing installs it

    reactor: Any = installed
    status = 0

    def begin(directory: Path) -> None:
        story = Deferred.fromCoroutine(tell(reactor, _make_screen(), directory))

        def cancel(number: int, _: FrameType | None) -> None:
            nonlocal status
            if not status:
                # What is cancelled cleans up behind itself, and that is not to be cancelled again.
                status = 128 + number
                reactor.callFromThread(story.cancel)

        for number in _ENDING:
            signal.signal(number, cancel)
        story.addErrback(fail).addBoth(lambda _: reactor.stop())

    def fail(failure: Failure) -> None:
        nonlocal status
        if status:
            # However what was cancelled has put it.
            print("\nInterrupted; everything that was started has been ended.")
            return
        status = 1
        if failure.check(DemoFailedError):
            print(f"\nFAILED: {failure.getErrorMessage()}", file=sys.stderr)
        else:
            failure.printTraceback(file=sys.stderr)

    with TemporaryDirectory(prefix="jobcluster-demo-") as directory:
        reactor.callWhenRunning(begin, Path(directory).resolve())
        reactor.run()
    return status


if __name__ == "__main__":
    sys.exit(main())
