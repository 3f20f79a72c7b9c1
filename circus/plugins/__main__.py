"""`python -m circus.plugins`: circus-plugin."""

from __future__ import annotations

from circus.plugins.runner import main

if __name__ == "__main__":
    main()
