"""The rules of a policy, a file for each kind."""
