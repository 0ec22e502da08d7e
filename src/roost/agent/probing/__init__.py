"""Test mail and test logins: what an MX, a DNS server and a storage node show to the world, tried from outside.

==================  ================================================================================================
prober.py           on the controller's node: when a round is due, and who is told; ``latest`` for figures
rounds.py           one round: everything at the same time, within bounds
sending.py          SMTP: the test messages for one MX
reading.py          IMAP and POP3: a login, and the test messages that have arrived
asking.py           DNS: what one server answers
==================  ================================================================================================
"""
