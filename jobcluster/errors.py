"""
Every exception of jobcluster; its docstring is what the user is told.

They are sorted by whose fault it is: L{UserError} for what a person typed or set, L{PeerError} for
what another process said, L{StoreError} for this machine's disk, L{JobError} for a job that did not
succeed.
"""

from __future__ import annotations

__all__ = [
    "BalancerAwayError",
    "BoxTooLargeError",
    "CallTimedOutError",
    "ExpiredTicketError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "JobQuarantinedError",
    "JobSkippedError",
    "JobTimedOutError",
    "JobclusterError",
    "KeeperError",
    "KeeperSilentError",
    "KeeperVersionError",
    "KeyTakenError",
    "MalformedBatchError",
    "MalformedTicketError",
    "NodeAwayError",
    "NodeUnreachableError",
    "NotAcknowledgedError",
    "NotGreetedError",
    "NotJoinedError",
    "OutputMissingError",
    "OutputNotKeptError",
    "PeerError",
    "RefusedError",
    "StateGoneError",
    "StateLockedError",
    "StoreError",
    "StoreFailedError",
    "StoreFullError",
    "StoreOpeningError",
    "StoreTooNewError",
    "SupersededError",
    "UnknownTicketError",
    "UserError",
    "VersionMismatchError",
]


class JobclusterError(Exception):
    """Something went wrong in jobcluster."""

    def __str__(self) -> str:
        """
        The message that it was raised with, or else the first line of its docstring.
        """
        return super().__str__() or (self.__doc__ or "").strip().partition("\n")[0]


# -- what a person typed or set --------------------------------------------------------------------
class UserError(JobclusterError):
    """That cannot be done."""


class MalformedTicketError(UserError):
    """That is not a ticket: a ticket looks like node-name.0123456789abc."""


class UnknownTicketError(UserError):
    """This cluster does not know that ticket."""


class ExpiredTicketError(UserError):
    """That ticket has expired: its result is no longer kept."""


class KeyTakenError(UserError):
    """That key is the key of another job: use a new one for a new job."""


# -- what another process said, or did not say -----------------------------------------------------
class PeerError(JobclusterError):
    """The other side of a connection did something wrong."""


class BalancerAwayError(PeerError):
    """The balancer cannot be asked just now: try again later."""


class NodeAwayError(PeerError):
    """The node that this ticket came from is away: try again when it is back."""


class CallTimedOutError(PeerError):
    """The other side did not answer in time."""


class BoxTooLargeError(PeerError):
    """The other side sent a box that is larger than allowed."""


class MalformedBatchError(PeerError):
    """The other side sent something that this version does not understand."""


class NotGreetedError(PeerError):
    """This connection has not said Hello, which comes before everything else."""


class NodeUnreachableError(PeerError):
    """No node answers there: start one, or name another with --connect or JOBCLUSTER_CONNECT."""


class NotJoinedError(PeerError):
    """This connection has not joined the cluster."""


class RefusedError(PeerError):
    """The balancer refused this node."""


class SupersededError(RefusedError):
    """A newer process with the same state directory has joined: give each its own (--state)."""


class VersionMismatchError(PeerError):
    """The other side speaks another version of the protocol: use the same jobcluster everywhere."""


class KeeperError(PeerError):
    """There is no keeper to run this node's commands: look at the log beside it."""


class KeeperSilentError(KeeperError):
    """The keeper does not answer."""


class KeeperVersionError(KeeperError):
    """The keeper speaks another version of the protocol than this node."""


class OutputMissingError(PeerError):
    """That output is not kept at this node, or not any more."""


class OutputNotKeptError(JobclusterError):
    """The output cannot be kept: the disk does not take it."""


# -- this machine's disk ---------------------------------------------------------------------------
class StoreError(JobclusterError):
    """The state directory cannot be used."""


class StateLockedError(StoreError):
    """Another node uses this state directory: give each node its own with --state."""


class StateGoneError(StoreError):
    """The state directory was removed or replaced while the node was running."""


class StoreTooNewError(StoreError):
    """The database was written by a newer jobcluster: upgrade this one, or use another --state."""


class StoreFailedError(StoreError):
    """The disk failed to take a change: free some space or look at the disk."""


class StoreOpeningError(StoreError):
    """This node is still opening its state directory: try again."""


class StoreFullError(StoreError):
    """The disk is nearly full (see --min-free): free some space, then submit again."""


class NotAcknowledgedError(StoreError):
    """Not acknowledged: the disk failed, so the job may exist or not."""


# -- a job -----------------------------------------------------------------------------------------
class JobError(JobclusterError):
    """The job did not succeed."""

    ticket: str = ""
    status: str = ""
    """One of L{jobcluster.core.values.Status}."""
    result: object = None
    """Of a command the L{jobcluster.client.results.CommandResult} all the same."""
    traceback: str = ""
    """Of a function: what it has written to standard error, with its traceback behind that."""


class JobFailedError(JobError):
    """The job failed."""


class JobTimedOutError(JobError):
    """The job took longer than it was given."""


class JobLostError(JobError):
    """The job was lost with its node, and is not to be run twice."""


class JobSkippedError(JobError):
    """The job was not run, for another one that it waited for did not succeed."""


class JobQuarantinedError(JobError):
    """The job is not run any more: nodes died while they ran it."""
