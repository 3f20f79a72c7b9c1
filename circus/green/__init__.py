"""Not there any more: circus 0.19's variants for gevent, which current pyzmq and gevent cannot run."""

from __future__ import annotations

raise ImportError(
    "circus.green is gone: Circus runs on asyncio. Use circus.get_arbiter inside an asyncio program,"
    " or run circusd beside a gevent program and talk to it with circus.client.CircusClient in a real thread."
)
