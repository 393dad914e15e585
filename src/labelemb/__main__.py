"""python -m labelemb, which ``accelerate launch -m labelemb`` needs."""

import sys

from labelemb_command import main

if __name__ == "__main__":
    sys.exit(main())
