"""Command line as a module: ``python -m neuroattack``."""

from neuroattack.cli import main

main()
