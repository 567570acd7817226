"""A provisioner for Conductor that makes directories: docs/writing-a-provisioner.md builds it step by step."""
