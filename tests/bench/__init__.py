"""Figures against the reference plugins, measured side by side in one run; asserts nothing about time."""
