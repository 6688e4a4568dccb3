"""Raw requests that try to be two, or to be read in two ways; and what must come of each.

`cases` has them as data. They are played on sockets, and cut at every byte.
"""
