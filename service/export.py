"""``python -m service.export STORE [-o FILE]``: feedback as labelled cases that `riskmodel train` takes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from riskmodel import RiskModelError

from .store import read_feedback

__all__ = ["export_feedback", "main"]


def export_feedback(store: str | Path, out: str | Path | None = None) -> int:
    """Write the corrections of a store as JSON Lines; return how many cases.

    Parameters
    ----------
    out : path, optional
        Standard output by default. The file appears only when it is whole.
    """
    lines = [orjson.dumps(case) + b"\n" for case in read_feedback(store)]
    if out is None:
        sys.stdout.buffer.writelines(lines)
    else:
        part = Path(f"{out}.part")
        part.write_bytes(b"".join(lines))
        part.replace(out)
    return len(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m service.export", description=__doc__)
    parser.add_argument("store", help="the file that RISKMODEL_STORE names")
    parser.add_argument("-o", "--output", help="JSON Lines file; standard output by default")
    given = parser.parse_args(argv)
    try:
        count = export_feedback(given.store, given.output)
    except (RiskModelError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count} labelled cases", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
