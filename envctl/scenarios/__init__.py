"""The symptoms of a note that stopped half way, each made for real, shown, explained and proved; then the same
with brdhcp.

A symptom is a generator of beats (:mod:`envctl.scenarios.story`) that plays on a stage
(:mod:`envctl.scenarios.stage`): a lab of its own, removed at the end whatever happens.
"""
