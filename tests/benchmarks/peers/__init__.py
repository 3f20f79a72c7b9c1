"""Circus beside other supervisors, on the same work in the same run: `make bench-peers`."""
