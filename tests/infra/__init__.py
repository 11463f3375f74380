"""The acceptance suite: what a user may rely on, against any environment that envctl knows."""
