"""Layers in torch: operators with derivatives of any order, modules, first values, saved folders."""
