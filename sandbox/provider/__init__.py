"""A Pulumi provider ``gcp`` that maps each resource type to Google's REST calls by a table.

It is the sandbox's stand-in for pulumi-gcp 10.2, which is a Go program. It makes the same calls, for the
resource types that the table has and no others, and only against endpoints that the environment names.
"""
