"""From a math-level graph to a list of steps: loop nests and matrix products over named buffers."""
