"""Models behind an OpenAI-compatible completions server."""
