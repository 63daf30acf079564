"""
What both daemons have in common: options that may come from the environment, ports, the log.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from twisted.python import usage

from jobcluster.config import (
    Setting,
    UnusableSettingError,
    resolve,
)
from jobcluster.endpoints import has_port, is_beyond_loopback
from jobcluster.logs import choose

__all__ = ["DaemonOptions", "check_client_endpoint", "end_with", "listen", "serve", "warn_of_trust"]

_FLAGS = ("allow-pickle", "trust-network", "verbose")

_log = Logger(namespace="jobcluster")


class DaemonOptions(usage.Options):
    """
    Options of a daemon, made from its L{Setting}s; each may come from the environment too.

    What is wrong with one is said in one line, and nothing is begun.
    """

    settings: ClassVar[tuple[Setting[Any], ...]] = ()
    optFlags: ClassVar[list[list[object]]]
    optParameters: ClassVar[list[list[object]]]
    listening: ClassVar[str] = ""
    """The option that says where to listen."""

    def __init_subclass__(cls) -> None:
        """
        Make the tables of options that twistd reads off the class.
        """
        cls.optFlags = [
            [setting.name, None, f"{setting.help} [${setting.variable}]"]
            for setting in cls.settings
            if setting.name in _FLAGS
        ]
        cls.optParameters = [
            [
                setting.name,
                None,
                None,
                f"{setting.help} [default: {setting.default or 'see README'}; ${setting.variable}]",
            ]
            for setting in cls.settings
            if setting.name not in _FLAGS
        ]

    def __init__(self) -> None:
        """
        Begin with nothing chosen.
        """
        self.chosen: dict[str, Any] = {}
        """What is in force, by the settings' names; there after C{postOptions}."""
        self.sources: dict[str, str] = {}
        """What each was set by, for a line that says what is wrong."""
        usage.Options.__init__(self)

    def postOptions(self) -> None:
        """
        Look at every option.

        @raise SystemExit: with one line that says what is wrong and what to do.
        """
        given = {
            setting.name: ("1" if self[setting.name] else None)
            if setting.name in _FLAGS
            else self[setting.name]
            for setting in self.settings
        }
        self.sources = {
            setting.name: setting.source(given[setting.name], os.environ)
            for setting in self.settings
        }
        try:
            self.chosen = resolve(self.settings, given, os.environ)
        except UnusableSettingError as reason:
            raise SystemExit(str(reason)) from None
        self.check_listening(self.listening)
        self._prepare_twistd()

    def check_listening(self, option: str) -> None:
        """
        See whether an option says where to listen, and where that may be done.

        @raise SystemExit: if it does not.
        """
        endpoint, source = self.chosen[option], self.sources[option]
        check_server_endpoint(source, endpoint)
        if is_beyond_loopback(endpoint) and not self.chosen["trust-network"]:
            raise SystemExit(
                f"{source} {endpoint} can be reached from other machines, and there is no"
                " authentication: name a loopback interface (…:interface=127.0.0.1), or give"
                " --trust-network if everyone who reaches it may run jobs"
            )

    def _prepare_twistd(self) -> None:
        parent = self.parent
        if parent is None:
            return
        # Two daemons may be started in one directory, and a stale file must not stop a third.
        if parent.get("pidfile") == "twistd.pid":
            parent["pidfile"] = ""
        if not parent.get("logger") and not parent.get("syslog"):
            # twistd writes a file for a daemon that goes to the background.
            logfile = parent.get("logfile") or (None if parent.get("nodaemon") else "twistd.log")
            parent["logger"] = choose(
                self.chosen["log-format"], logfile, verbose=self.chosen["verbose"]
            )


def check_server_endpoint(option: str, endpoint: str) -> None:
    """
    @raise SystemExit: if nothing can listen on that.
    """
    from twisted.internet import reactor
    from twisted.internet.endpoints import serverFromString

    _check(option, endpoint, lambda: serverFromString(reactor, endpoint), least_port=0)


def check_client_endpoint(option: str, endpoint: str) -> None:
    """
    @raise SystemExit: if nothing can connect to that.
    """
    from twisted.internet import reactor
    from twisted.internet.endpoints import clientFromString

    _check(option, endpoint, lambda: clientFromString(reactor, endpoint), least_port=1)


def _check(option: str, endpoint: str, parse: Callable[[], object], *, least_port: int) -> None:
    wrong: object = None if has_port(endpoint, least_port) else "its port is out of range"
    try:
        parse()
    except Exception as reason:  # noqa: BLE001 - whatever a parser raises, it is no endpoint
        wrong = reason
    if wrong is not None:
        wrong = " ".join(str(wrong).split())
        raise SystemExit(
            f"{option} is {endpoint!r}, but must be an endpoint such as tcp:127.0.0.1:7000 or"
            f" tcp:9000:interface=127.0.0.1 ({wrong})"
        )


def serve(
    services: IService,
    reactor: Any,  # noqa: ANN401 - has no type of its own: many interfaces in one
    options: DaemonOptions,
    factory: IProtocolFactory,
    farewell: Callable[[], None] = lambda: None,
) -> None:
    """
    Have a daemon listen, and see to its clock.
    """
    # A step of the wall clock must not make every peer seem silent at once.
    reactor.seconds = time.monotonic
    endpoint = options.chosen[options.listening]
    listen(services, reactor, endpoint, f"--{options.listening} {endpoint}", factory, farewell)
    if options.chosen["trust-network"]:
        warn_of_trust(endpoint)


def warn_of_trust(endpoint: str) -> None:
    """
    Say aloud what C{--trust-network} means.
    """
    _log.critical(
        "--trust-network: EVERYONE WHO REACHES {endpoint} CAN RUN JOBS HERE, without a password"
        " and in clear text",
        endpoint=endpoint,
    )


def listen(
    services: IService,
    reactor: Any,  # noqa: ANN401 - see serve
    endpoint: str,
    described: str,
    factory: IProtocolFactory,
    farewell: Callable[[], None],
    *,
    is_needed: bool = True,
) -> None:
    """
    Have a daemon listen; see L{jobcluster.services.listening.Listener}.
    """
    from twisted.internet.endpoints import serverFromString

    from jobcluster.services.listening import Listener

    server = serverFromString(reactor, endpoint)
    listener: Any = Listener(server, factory, described, farewell, is_needed=is_needed)
    listener.setServiceParent(services)


def end_with(reactor: Any, reason: str) -> None:  # noqa: ANN401 - see serve
    """
    End the daemon with one line, in order.
    """
    _log.critical("{reason}", reason=reason)
    if reactor.running:
        # However its reactor was stopped, twistd itself would say 0 in the end.
        atexit.register(_exit_failed)
        with contextlib.suppress(ReactorNotRunning):  # it stops already
            reactor.stop()


def _exit_failed() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
