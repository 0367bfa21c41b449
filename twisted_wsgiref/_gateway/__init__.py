"""The gateway: messages to a WSGI application and back. Here a request changes thread.

Nothing here knows Twisted or parses HTTP; a connection is seen through `interfaces` alone. A file that has a lock says
so at its top, or beside it; which thread calls is said in each docstring, or by the banner above it.
"""
