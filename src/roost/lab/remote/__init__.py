"""Scripts that run *in* a machine of the lab, most of them on the client.

Three rules: the standard library only, plain data in (JSON on standard input) and out (JSON on standard output), and
no import of each other: a script is sent as text to ``python3 -`` of a machine that has no Roost.

Some run for a while: their question is the first line of their input, they print a journal, a line of JSON for each
event, and they end when their input ends (``roost.lab.program``).
"""
