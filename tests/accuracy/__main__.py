"""`python -m tests.accuracy [CASES]`: prints the measure and every case that is wrong; fails if one is."""

import sys
from pathlib import Path

from tests.accuracy.measure import CASES, accuracy

measured = accuracy(Path(sys.argv[1]) if len(sys.argv) > 1 else CASES)
for what, wrong in (("false alarm", measured.false_alarms), ("miss", measured.misses)):
    for case in wrong:
        print(f"{what}: {case}", file=sys.stderr)
print(measured.line)
sys.exit(0 if measured.right else 1)
