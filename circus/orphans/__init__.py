"""The workers that a killed circusd left: found by its state file, proven, and ended or made ready to be taken over.

Invariants: nobody is signalled who is not proven to be who was noted, or whose environment does not carry the mark of
that circusd; while another circusd lives, or somebody holds the file, nothing is touched at all; who is ended is gone
before anything is bound or started.
"""
