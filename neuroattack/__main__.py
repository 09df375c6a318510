"""``python -m neuroattack``: the command line."""

from neuroattack.cli import main

main()
