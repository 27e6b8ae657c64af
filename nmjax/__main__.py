"""`python -m nmjax`, the same as the command `nmjax`."""

import sys

from nmjax.cli import main

sys.exit(main())
