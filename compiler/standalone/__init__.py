"""Layers as packages that run with torch alone: what writes them, and what in them runs."""
