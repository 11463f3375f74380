"""What envctl tells of a real machine, and makes go wrong on one. `make test-stories`."""
