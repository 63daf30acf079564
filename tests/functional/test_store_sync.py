"""
A disk whose syncs fail, as the store in SQLite sees it.

A library that is loaded before the C library makes them fail, while a certain file is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_with(const char *name, int descriptor)
{
    int (*function)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (access(getenv("SYNC_FAILS"), F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return function(descriptor);
}

int fsync(int descriptor) { return sync_with("fsync", descriptor); }
int fdatasync(int descriptor) { return sync_with("fdatasync", descriptor); }
"""

PROGRAM = """
import json
import os
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from jobcluster.core.views import Filter
from jobcluster.errors import StoreFailedError
from jobcluster.store.pools import threads
from jobcluster.store.sqlite import SqliteStore
from tests.store.scenes import opened, submitted

async def succeeds(waiting):
    try:
        await waiting
    except StoreFailedError:
        return False
    return True

async def main(reactor):
    told = []
    switch = Path(os.environ["SYNC_FAILS"])
    store = SqliteStore(Path(sys.argv[1]), threads(reactor))
    told.append(await succeeds(opened(store)))
    told.append(await succeeds(store.commit([submitted(1001)])))
    switch.touch()
    told.append(await succeeds(store.commit([submitted(1002)])))
    told.append(await succeeds(opened(store)))
    switch.unlink()
    told.append(await succeeds(store.commit([submitted(1003)])))
    told.append(await succeeds(opened(store)))
    told.append(await succeeds(store.commit([submitted(1004)])))
    jobs = [view.job for view in await store.views(Filter(), 0, 10)]
    await store.close()
    print(json.dumps([told, jobs]))

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="a library has to be compiled")
def test_failing_syncs(tmp_path: Path) -> None:
    """
    A commit whose sync fails is not told as done; the store is not believed while syncs fail, and
    has all that was acknowledged when they do not.
    """
    shim = tmp_path / "shim.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-o", shim, "-", "-ldl"],
        input=SHIM,
        text=True,
        check=True,
    )
    environment = {**os.environ, "LD_PRELOAD": str(shim), "SYNC_FAILS": str(tmp_path / "switch")}
    output = subprocess.check_output(
        [sys.executable, "-c", PROGRAM, tmp_path / "state"],
        cwd=Path(__file__).parents[2],
        env=environment,
        text=True,
    )
    told, jobs = json.loads(output)
    assert told == [True, True, False, False, False, True, True]
    assert set(jobs) - {1002} == {1001, 1004}, "nobody knows of the job whose sync failed"
