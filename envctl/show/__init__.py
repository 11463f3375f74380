"""How things look: facts and results in, rich renderables out. No command is run here and nothing is
printed.
"""
