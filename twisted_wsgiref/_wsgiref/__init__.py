"""Parts of the names of ``wsgiref``, in files of their own, and the text of an exception. No Twisted, no threads.

The names themselves are the modules at the top of the package; a program that imports one of those pays for nothing
else.
"""
