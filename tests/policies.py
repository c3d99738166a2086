"""A small policy for tests: vulnerabilities and attacks are refused, nothing else is asked."""

POLICY = """
[sources]
advisories = "advisories"

[limits]
advisories-max-age = "10 years"
attestation-max-age = "90 days"
waiver-longest = "100 years"
waiver-warning = "14 days"

[rules.severity]
sentence = "No known vulnerability."
effect = "refuse"
threshold = "medium"
unrated = "refuse"

[rules.malware]
sentence = "No attacks."
effect = "refuse"
"""
