"""Tasks: the built-in ones, and how they are made ready for lm-eval."""
