"""Provisions Cloud SQL instances through the Cloud SQL Admin API."""
