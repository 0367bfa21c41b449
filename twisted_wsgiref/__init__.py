"""A WSGI server on Twisted, and every name of the standard library's ``wsgiref``."""

__version__ = "0.1.0"
