"""What people and CI call: a file for each command, a thin call of `dmz.workflow`."""
