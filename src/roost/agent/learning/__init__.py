"""What users move into Junk or out of it, brought from their homes to the filter of every MX.

==================  ================================================================================================
spool.py            the messages on a home: one link for each MX that has not had it yet
carrier.py          on a home: brings them
teacher.py          on an MX: takes them and teaches its own filter
==================  ================================================================================================
"""
