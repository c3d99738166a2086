"""The agent on the machines. Python 3.10 or later, standard library only."""
