"""How right screening is, measured on versions whose answer is known."""
