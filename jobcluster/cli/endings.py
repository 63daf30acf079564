"""
How jobs have ended, for the verbs that print it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from jobcluster.cli.common import Exit, Shell
from jobcluster.cli.facts import facts_of_job
from jobcluster.client.remote import RemoteNode
from jobcluster.consoles import verbs
from jobcluster.core.values import Status
from jobcluster.core.views import JobView
from jobcluster.errors import JobclusterError

__all__ = ["show_endings"]


def show_endings(
    shell: Shell,
    tickets: Sequence[str],
    ask: Callable[[RemoteNode, str], Deferred[JobView]],
) -> int:
    """
    Print how each job has ended.

    @param ask: asks for a job.
    @return: what to exit with.
    """

    def ask_for_words(node: RemoteNode, ticket: str) -> Deferred[tuple[str, JobView]]:
        def tell(view: JobView) -> Deferred[tuple[str, JobView]]:
            return verbs.tell_result(view, node, ticket).addCallback(lambda words: (words, view))

        return ask(node, ticket).addCallback(tell)

    codes = {Exit.OK}
    for ticket, answer in shell.ask_each(tickets, ask_for_words):
        if isinstance(answer, JobclusterError):
            codes.add(Exit.FAILED)
            shell.say_error(ticket, answer)
        else:
            words, view = answer
            codes.add(code_of(view))
            head = f"{ticket}  " if len(tickets) > 1 else ""
            shell.say(head + words, facts_of_job(ticket, view))
    return Exit.NOT_ENDED if Exit.NOT_ENDED in codes else max(codes)


def code_of(view: JobView) -> int:
    """
    What to exit with for one job.
    """
    if view.outcome is None:
        return Exit.NOT_ENDED
    return Exit.OK if view.outcome.status == Status.SUCCEEDED else Exit.FAILED
