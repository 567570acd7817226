"""Real parts for every test of the workspace: see conductor_dev.pytest_plugin."""

pytest_plugins = ["conductor_dev.pytest_plugin"]
