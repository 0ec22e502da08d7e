"""A node's figures: gathered every few seconds in a thread of their own, told to whoever has a certificate for it.

::

    sources.py, drivers, logs ──sampler.py──> door.py ──> a monitoring system, over HTTPS
                                          └─> loop.py ──> the controller: the little that 'roost status' shows

Nobody waits for a measurement: who asks is told what was found last.
"""
