"""Any thread: all that is known of Twisted's private parts, so that an upgrade has one file to be checked against.

Nothing here knows anything of ours. Names that Twisted documents are used where they are needed, and not here.
"""
