"""The whole sync against the sandbox's cloud, with a proxy in between that breaks what it is told to."""
