"""Benchmarks: what Circus costs, against targets and against bare loops measured in the same run.

`make bench`, or `python -m tests.benchmarks [NAME...]`. Nothing here is a test: a missed target is a line in a table.
"""
