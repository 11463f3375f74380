"""Steps as data, done and undone in the kernel: the only package that knows pyroute2."""
