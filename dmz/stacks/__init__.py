"""The two programs: outer and inner."""
