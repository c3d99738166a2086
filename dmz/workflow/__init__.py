"""What people and CI do with the two stacks: discover, screen, plan, verify, and all of it in one run."""
