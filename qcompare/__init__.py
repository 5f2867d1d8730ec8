"""qcompare: build quantization recipes of a language model, evaluate them on the same questions, compare.

Rooms, in the order data flows through them: study → models → recipes → quantize → evaluate → store → jobs →
results → ui, cli. A room imports only rooms listed before it (see tests/test_architecture.py).
"""

__version__ = "0.1.0"
