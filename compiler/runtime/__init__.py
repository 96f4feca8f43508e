"""From emitted source to functions that can be called: compiler, cache, loading."""
