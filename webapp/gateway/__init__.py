"""Stands between the network and the app: only whole requests reach a thread, and no thread waits for a reader.

A thread is what a board has few of, and a database connection goes with each. So granian, which speaks HTTP here, takes
bodies in and sends answers without one, within limits of time; and its threads only work.

    rsgi      what granian hands over of a request
    wsgi      a request and an answer as the app knows them
    budget    which request is worked on now, and which waits
    gateway   the way of a request, from its first byte to its answer
    server    granian with threads that work so: ``python -m webapp.gateway``, which ``flask serve`` starts
"""
