"""What a request is answered by, beside a WSGI application on a worker: resources of Twisted's.

All is called in the reactor's thread. Nothing here knows how a connection reads, sends or frames: an answer is seen
through `web_channel.ResourceAnswer` alone.
"""
