"""The platform in simulated time: processes that are killed, disks that fill, clocks that jump.

`make simulate` runs seeds, docs/reliability.md says what that shows. A run is decided by its seed
and its scenario alone, so a failure is one command that repeats it.
"""
