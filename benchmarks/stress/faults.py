"""What must hold when things go wrong, row by row: processes killed, stopped, reloaded and stuck under load.

Run ``python -m benchmarks.stress.faults`` with an interpreter that has twisted_wsgiref; ``--list`` shows the rows,
``--only NAME`` runs some, ``--quick`` makes the long ones short. It uses loopback and a temporary folder, and every
wait in it is bounded. One line a row: what was asked, what was measured, and whether that holds. The status is 1 if one
does not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness.script import run
from benchmarks.stress.faults_house import House
from benchmarks.stress.faults_rows import ROWS, Outcome


async def measured(name: str, folder: Path, quick: bool) -> Outcome:
    """Run one row; a row that can not be measured does not hold."""
    row = ROWS[name]
    try:
        return await asyncio.wait_for(row.run(folder, quick), row.patience)
    except Exception as error:
        return Outcome(False, f"could not be measured: {type(error).__name__}: {error}")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(ROWS), help="run this row; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer kills and reloads")
    parser.add_argument("--list", action="store_true", help="show the rows, and run nothing")
    parser.add_argument("--tls", action="store_true", help="speak TLS, by a certificate that is made for it")
    words = parser.parse_args()
    House.tls = words.tls
    if words.list:
        for name, row in ROWS.items():
            print(f"{name:16} {row.asked}")
        return
    wrong = 0
    for name in words.only or ROWS:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            begun = time.monotonic()
            outcome = asyncio.run(measured(name, Path(folder), words.quick))
            verdict = "holds" if outcome.holds else "DOES NOT HOLD"
            wrong += not outcome.holds
            took = time.monotonic() - begun
            print(f"{name} | {ROWS[name].asked} | {outcome.measured} | {verdict} ({took:.0f} s)", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    run(main)
