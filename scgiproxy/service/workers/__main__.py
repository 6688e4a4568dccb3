"""What the parent runs: one worker."""

import sys

from scgiproxy.service.workers.worker import main

main(sys.argv[1:])
