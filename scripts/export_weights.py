"""Copies the best network of a run to one weights file, as it ships in nmjax/weights.

python scripts/export_weights.py runs/curve-b nmjax/weights/1b-restore
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from nmjax.runtime.saved_network import WEIGHTS_NAME, find_network
from nmjax.runtime.weights_file import StoredWeights, write_weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("weights", type=Path, help="an existing folder is replaced")
    args = parser.parse_args()
    saved = find_network(args.run)
    weights = StoredWeights(saved.read_variables(), saved.config, saved.step, saved.checkpoint_digest)
    shutil.rmtree(args.weights, ignore_errors=True)
    args.weights.mkdir(parents=True)
    path = args.weights / WEIGHTS_NAME
    write_weights(path, weights)
    print(f"{path}: step {saved.step}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
