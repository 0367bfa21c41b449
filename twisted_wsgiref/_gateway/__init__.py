"""The gateway: messages to a WSGI application and back. Here a request changes thread.

Nothing here knows Twisted or parses HTTP; a transport is seen through `outlet` alone. Locks live in `outlet` and
`pool` only; every docstring ends by saying which thread calls it.
"""
