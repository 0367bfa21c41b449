"""Makes `twistd wsgiref` and `twist wsgiref` known. Nothing else: each twistd command on the machine imports this.

There is never an __init__.py beside or above it: Twisted itself owns this package, and finds plugins along the path.
"""

from twisted.application.service import ServiceMaker

wsgiref = ServiceMaker(
    "twisted_wsgiref",
    "twisted_wsgiref._process.making",
    "Serve a WSGI application over HTTP: twistd wsgiref mod:app",
    "wsgiref",
)
