"""The collection of cycles, for programs that end soon."""

from __future__ import annotations

import gc
import subprocess
import sys

from dmz.collecting import uncollected


def test_it_is_off_for_a_while() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_had_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_program_that_ends_soon_ends_at_once() -> None:
    code = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
from dmz.collecting import collect_rarely
collect_rarely()
print(gc.get_threshold()[0] > 700, gc.get_freeze_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0", "True"]
