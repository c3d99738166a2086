"""The embedded default: Pulumi, Google's APIs and sealed machines on one Linux machine."""
