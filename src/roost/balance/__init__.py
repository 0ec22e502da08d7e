"""Balancing: from what mailboxes take and nodes have, to where mailboxes should live, each with a reason.

====================  ==========================================================================
``fleet.py``          the state: arrays of nodes and mailboxes, up to 10 million and 1,000
``predict.py``        from measured rates to the peak that a mailbox will need; rubbish is refused
``place.py``          where a new mailbox goes
``plan.py``           which mailboxes move, in which order, within a budget
``forecast.py``       which node fills when; what another machine would do
``simulate.py``       weeks of invented or recorded load through the very same code
====================  ==========================================================================

Pure: no clock, no files, no chance but numpy's generator from a given seed. The same input gives the same answer.
``docs/explanation/balance.md`` tells how it decides, and why.
"""
