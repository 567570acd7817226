"""The embedded environment: a real control plane, a real broker and cloud stand-ins, on one machine, without root.

`Environment` starts all of it; `conductor_dev.pytest_plugin` offers the parts as fixtures; `python -m conductor_dev`
starts and stops it from a shell. Every process started here dies with the process that started it.
"""
