"""Pulumi's engine, for where its CLI is not on PATH."""
