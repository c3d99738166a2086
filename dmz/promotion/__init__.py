"""The pure part: what may enter, and how the inner repositories come to hold it."""
