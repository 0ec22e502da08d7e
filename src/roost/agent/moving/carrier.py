"""Run by doveadm as the command that reaches the other node: hands its input and output to the agent, and waits.

``python3 -I -S carrier.py SOCKET``: connects to the agent's socket, passes its file descriptors 0 and 1 over it
(SCM_RIGHTS, unix(7)), lets go of its own, so that doveadm sees their ends, and stays until the agent closes the
connection. So the stream has no further hop. It needs nothing but the standard library, to start in milliseconds.
"""

import os
import socket
import sys


def main() -> None:
    """Hand over, and wait for the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.connect(sys.argv[1])
        socket.send_fds(agent, [b"."], [0, 1])
        for descriptor in (0, 1):
            os.close(descriptor)
        agent.recv(1)
    # Without the farewell of Python, which would look for its standard output.
    os._exit(0)


if __name__ == "__main__":
    main()
