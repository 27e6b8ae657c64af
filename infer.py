"""Master a track:  python infer.py --ckpt DIR track.wav"""

import sys

from nmjax.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
