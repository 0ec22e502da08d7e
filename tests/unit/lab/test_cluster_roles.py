"""Which machine of the default lab is what."""

from __future__ import annotations

from roost.lab.cluster import CONTROL_ROLES, roles_of
from roost.lab.topology import default_topology


def test_every_role_is_there_and_the_controllers_machine_keeps_the_logs() -> None:
    roles = {role for machine in default_topology() for role in roles_of(machine.short)}
    assert roles | set(CONTROL_ROLES) == {"mx", "backup-mx", "dns", "storage", "control", "log"}
    assert roles_of("control") == (), "it is a node already when the others are added"
