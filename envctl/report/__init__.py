"""``envctl report``: one page about an environment, in one file that needs no network to be opened."""
