"""Run it: `plan` (study → jobs), `submit`, `supervisor` (hands jobs to devices), `worker` (one job, one process)."""
