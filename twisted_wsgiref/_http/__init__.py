"""The wire: bytes to messages and back.

Nothing here knows Twisted, threads, clocks, settings or WSGI. Values go in, values come out; what a client may not
send raises `ProtocolError` with the status that it deserves. Every loop is linear in its input, and every decision
is a function with the clause of RFC 9110 or RFC 9112 above it.
"""
