"""The same questions of HTTP and WSGI, asked of this server and of others; makes docs/conformance.md."""
