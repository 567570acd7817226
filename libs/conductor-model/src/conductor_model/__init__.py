"""Conductor's API: its kinds as models, the values in their fields, and the CRDs that the API server serves.

Nothing here talks to anything: every other part of Conductor may import it, and it imports none of them.
"""
