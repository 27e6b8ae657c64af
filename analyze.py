"""What a network does over a collection:  python analyze.py --ckpt DIR FOLDER --out DIR"""

import sys

from nmjax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["analyze", *sys.argv[1:]]))
