"""What every suite stands on: servers of three kinds, a raw client, four-letter words, whole trees.

A suite is written once, against `Server(kind, ...)`; which server answers is an argument, so that comparing zabd with Java is
running the same lines twice.
"""
