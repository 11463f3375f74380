"""The box: a guest with real Kubernetes, made from the Debian package index alone.

Four parts, each cached by the content it was made from: the Kubernetes binaries, the root file system,
the container images, and the box itself. A second build of the same inputs takes seconds.
"""
