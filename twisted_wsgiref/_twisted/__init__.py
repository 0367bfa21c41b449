"""Any thread: all that is known of Twisted itself: its private parts, and the types that it leaves out.

So an upgrade has one folder to be checked against. Nothing here knows anything of ours. Names that Twisted documents
are used where they are needed, and not here.
"""
