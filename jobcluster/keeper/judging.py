"""
How a run has ended.
"""

from __future__ import annotations

from jobcluster.keeper.records import Run
from jobcluster.keeper.words import Status

__all__ = ["judge"]


def judge(run: Run, max_output: int) -> tuple[str, int | None, str]:
    """
    Status, code and detail of a run of which nothing is left.

    What a function has returned is of no interest where something else was to end it.

    @param max_output: bytes of output that a run may have.
    """
    if not (run.timed_out or run.cancelled or run.overflow):
        return _of_its_own(run)
    run.value = b""
    if run.timed_out:
        return Status.TIMED_OUT, run.code, f"it took longer than its limit of {run.limit:g} s"
    if run.cancelled:
        return Status.CANCELLED, run.code, ""
    return Status.FAILED, None, f"its output was over the limit of {max_output} bytes"


def _of_its_own(run: Run) -> tuple[str, int | None, str]:
    if run.returned is not None:
        return Status.SUCCEEDED if run.returned else Status.FAILED, None, run.detail
    if run.worker:
        detail = run.detail or "its process ended before the function had returned"
        return Status.FAILED, run.code, detail
    if run.code == 0:
        return Status.SUCCEEDED, 0, ""
    return Status.FAILED, run.code, run.detail
