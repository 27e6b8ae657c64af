"""Master in the browser:  python studio.py [track.wav ...]"""

import sys

from nmjax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["studio", *sys.argv[1:]]))
