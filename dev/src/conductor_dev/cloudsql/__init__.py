"""A stand-in for Google's Cloud SQL Admin API, version 1: an HTTP server that real clients are pointed at.

Its routes and the shapes of what it takes and gives are read from the discovery document that ships with
google-api-python-client (``discovery``): a request with a field that Google does not know is refused as Google refuses
it, and an answer that Google could not have given is never sent. What the calls do is in ``instances``, ``users`` and
``databases``, over the state of ``project``; ``faults`` makes it misbehave; ``server`` puts them behind HTTP.

``python -m conductor_dev.cloudsql`` runs it as a program.
"""
