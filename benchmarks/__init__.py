"""Figures about Conductor, measured on real parts: ``make bench``."""
