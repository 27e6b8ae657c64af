"""Compare systems:  python evaluate.py --data DIR --out DIR"""

import sys

from nmjax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
