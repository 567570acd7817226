"""Provisions databases, each with a user of its own, on servers that exist."""
