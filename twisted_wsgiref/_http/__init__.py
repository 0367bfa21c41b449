"""The wire: bytes to messages and back.

Nothing here knows Twisted, threads, clocks, settings or WSGI. Values go in, values come out. If a client sends bytes
that it may not send, a `ProtocolError` has the status that they deserve. Every loop is linear in its input, and every
decision is a function with the clause of RFC 9110 or RFC 9112 above it.
"""
