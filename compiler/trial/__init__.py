"""Layers tried: arguments drawn, results compared with the reference, times taken."""
