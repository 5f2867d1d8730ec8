"""Speed against the libraries' own ways, as ratios of the same run; each module runs alone and updates RESULTS.md."""
