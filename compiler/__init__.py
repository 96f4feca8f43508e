"""Lamina: a compiler for neural-network layers."""
