"""Google's APIs, served locally."""
