"""`python -m sandbox.engine ARGS...` behaves as `pulumi ARGS...`."""

from sandbox.engine.cli import main

main()
