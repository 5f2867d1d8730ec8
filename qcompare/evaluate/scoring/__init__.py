"""Log-likelihoods of answer options, fast and exact: see ``lm.PackedLM``. Import its modules only in a worker
(torch).
"""
