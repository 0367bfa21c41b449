"""Any thread: this package's knowledge of Twisted itself: its private parts, and the types that it leaves out.

So whoever upgrades Twisted has one folder to check. Nothing here knows anything of ours. Modules that need a documented
name of Twisted use it themselves.
"""
