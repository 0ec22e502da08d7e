"""What mailboxes are used: read from the home's server, kept as rates, told to the controller every minute.

::

    the driver's Teller ──gatherer.py──> book.py (SQLite) ──gatherer.py──> the controller

A turn costs what was done in its minute, never how many mailboxes there are.
"""
