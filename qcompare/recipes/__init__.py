"""Which layer gets which scheme: one module a strategy, all counting of bits in `bits`."""
