"""TPU VMs as sealed namespaces whose network derives from the declared resources."""

from sandbox.machines.machines import GoogleFront, Machines, Site, machine_command, sandbox_id

__all__ = ["GoogleFront", "Machines", "Site", "machine_command", "sandbox_id"]
