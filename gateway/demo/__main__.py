"""``python -m gateway.demo``: what ``scripts/demo`` runs."""

from __future__ import annotations

import sys

from gateway.demo.options import read_arguments
from gateway.demo.run import main

if __name__ == "__main__":
    sys.exit(main(read_arguments(sys.argv[1:])))
