"""What circus-top is made of: a subscription, a table folded from it, and two ways to show the table."""
