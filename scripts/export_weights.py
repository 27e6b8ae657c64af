"""Copies the best network of a run without what only its training needs, as it ships in nmjax/weights.

python scripts/export_weights.py runs/curve-b nmjax/weights/1b-restore
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from nmjax.runtime.checkpoints import Checkpoints, find_checkpoint


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("weights", type=Path, help="an existing folder is replaced")
    args = parser.parse_args()
    checkpoints, step = find_checkpoint(args.run, print)
    variables, meta = checkpoints.restore_model(step), checkpoints.meta(step)
    shutil.rmtree(args.weights, ignore_errors=True)
    Checkpoints(args.weights).save(step, variables, {"step": np.int32(step)}, meta)
    size = sum(file.stat().st_size for file in args.weights.rglob("*") if file.is_file())
    print(f"{args.weights}: step {step}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
