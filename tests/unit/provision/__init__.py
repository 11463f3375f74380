"""The virtual machine side without a virtual machine: box parts, steps, templates, the lock file."""
