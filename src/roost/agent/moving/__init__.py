"""The agent's part in moves: what both nodes do between the controller's orders (docs/explanation/moves.md).

==================  ================================================================================================
mover.py            reads the orders, keeps one worker for each move, tells the controller what happened
target.py           the target's worker: passes, then the hand-over
source.py           answers the target: size, stream, hold, evidence, hand-over
waiting_room.py     ports at which whoever comes during a hold waits
stream.py           carries dsync's stream between a command and the other node
carrier.py          the little program by which doveadm reaches that stream
throttle.py         how fast a copy may go
steps.py            says how far a move is, and halts there where root wants it
==================  ================================================================================================
"""
