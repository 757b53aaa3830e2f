"""(r1) the crash test of tests/it at full length."""

import os
import re
import subprocess
import time

from . import servers
from .report import Figure, Report, table

ROUNDS = 100
TEST = "kill9::what_was_answered_200_is_there_and_told_and_nothing_twice"


def rounds(_bench):
    """The test's own profile: it is the program that counts, not its speed."""
    command = ["cargo", "test", "--locked", "--quiet", "--test", "it", "--", "--exact", TEST]
    began = time.monotonic()
    told = subprocess.run(command, cwd=servers.ROOT, env={**os.environ, "TIDEWATCH_ROUNDS": str(ROUNDS)},
                          capture_output=True, text=True, check=False)
    passed = re.search(r"^test result: ok\. 1 passed", told.stdout, re.MULTILINE)
    if not passed:
        print(told.stdout, told.stderr)
    figures = [Figure("rounds in which nothing was lost and nothing twice", ROUNDS if passed else 0, ">=", ROUNDS, "")]
    rows = [[TEST, ROUNDS, ROUNDS * 200 * 50, time.monotonic() - began]]
    return Report(figures, [table(["test", "rounds", "alerts posted", "seconds, building included"], rows)])
