"""CNI's words (versions, environment, network configuration, result) as dataclasses, both ways, without any
I/O.
"""
