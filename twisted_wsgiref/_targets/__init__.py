"""What a request is answered by, beside a WSGI application on a worker: files, redirections, resources of Twisted's.

All is called in the reactor's thread. Nothing here knows how a connection reads, sends or frames: a file becomes a
`static_files.FileAnswer`, and a resource sees its answer through `web_channel.ResourceAnswer` alone.
"""
