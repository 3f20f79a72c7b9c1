"""What the tests share: the real circusd, its channels, and how to wait without guessing."""
