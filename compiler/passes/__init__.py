"""Rewrites of the graph, one a file; `pipeline.py` holds their order and the reasons for it."""
