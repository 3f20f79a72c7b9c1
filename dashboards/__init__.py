"""What is shown of the metrics, as code: `build.py` makes all that stands in `out/`.

Not a part of the wheel, but for `out/`. Invariant: nothing in `out/` is edited by hand.
"""
