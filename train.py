"""Train a phase:  python train.py --phase 1b --data DIR --out DIR"""

import sys

from nmjax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
