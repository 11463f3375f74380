"""What a pod's place on the bridge is made of: configuration and observation in, steps and comparisons out;
pure.
"""
