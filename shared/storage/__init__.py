"""Files that survive ``kill -9`` and power loss, and are checked before they are believed.

What the files mean belongs to whoever writes them.
"""
