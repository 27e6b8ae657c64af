"""Checks the JSDoc types of the studio's page and of the web components with TypeScript, where it is installed.

    npm install --no-save typescript && python scripts/check_page_types.py

TypeScript is no Python package, so the check is left out, with a line that says so, where there is no `tsc`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "nmjax" / "studio" / "page" / "jsconfig.json"


def find_tsc() -> str | None:
    """Path of the TypeScript compiler: the checkout's own, or the one on the PATH."""
    return shutil.which("tsc", path=str(ROOT / "node_modules" / ".bin")) or shutil.which("tsc")


def main() -> int:
    """Check the types; the exit code of the compiler."""
    tsc = find_tsc()
    if tsc is None:
        print("Types of the page: not checked, since there is no tsc. Get it with: npm install --no-save typescript")
        return 0
    status = subprocess.run([tsc, "--project", str(PROJECT)], check=False).returncode
    print("Types of the page: checked." if status == 0 else "Types of the page: see above.")
    return status


if __name__ == "__main__":
    sys.exit(main())
