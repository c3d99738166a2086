"""What each API does beyond keeping resources: a module for each, with its `KINDS` and `OVERRIDES`."""
