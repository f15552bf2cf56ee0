"""What clients of the embedded broker may cost, in memory and in time."""

from typing import Final

MOST_SESSIONS: Final = 1000
"""Clients at a time."""

MOST_STRANGERS: Final = 128
"""Connections that have not said CONNECT. When one more comes the oldest is cut off, so that those
who say nothing keep nobody out."""

MOST_HELD: Final = 128 << 20
"""Bytes that wait for all clients together, and have come from them without being whole. Beyond
them the connection with the most is cut off."""

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at who is lost or stuck."""

CONNECT_SECONDS: Final = 10.0
"""Seconds until a connection has to have said CONNECT."""

LARGEST_CONNECT: Final = 8192
"""Bytes of a CONNECT, with a will in it."""

LONGEST_KEEPALIVE: Final = 3600
"""Seconds after which a client is lost that has said nothing, whatever it asked for."""

MOST_WAITING: Final = 40 << 20
"""Bytes that wait for one client: a little over the windows of all uploads together. Beyond them
chunks (quality of service 0) are lost to it, which the protocol asks for again; a client that has
no room for another message is cut off."""

STUCK_SECONDS: Final = 30.0
"""Seconds after which a client is cut off that takes nothing of what waits for it."""
