"""Read what a study found: tables, paired statistics, sentences and plots. Never loads torch; knows no widget."""
