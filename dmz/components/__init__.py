"""Pulumi components, a file per concern."""
