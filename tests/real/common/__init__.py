"""What the tests with real daemons share: a certificate authority, machines, processes, and how a driver is used."""
