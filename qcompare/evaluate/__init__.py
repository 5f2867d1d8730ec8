"""From a model to scores: `tasks` (which questions), `benchmarks` (lm-eval), `generate` (answers to prompts)."""
