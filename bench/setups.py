"""The set-ups with which the drivers' are compared: Dovecot's defaults, a Dovecot proxy, and bare Postfix."""

from __future__ import annotations

import re

from roost.drivers.dovecot import Layout
from roost.drivers.postfix import Layout as PostfixLayout
from roost.ports.host import Facts, File

_ACCOUNT = "FROM login JOIN account ON account.id = login.account WHERE login.name = '{user}' ORDER BY rank LIMIT 1"
_PASSWORD = f"SELECT account.address AS user, account.password AS password {_ACCOUNT}"
_HOME = f"SELECT account.address AS user, '{{mail}}/' || account.home AS home {_ACCOUNT}"

_COMMON = """
protocols = imap pop3 lmtp sieve
listen = {layout.probe}
base_dir = {layout.run}
state_dir = {layout.state}
log_path = {layout.log}
mail_uid = {layout.uid}
mail_gid = {layout.uid}
service imap-login {{
  inet_listener imap {{
    port = {layout.imap}
  }}
  inet_listener imaps {{
    port = {layout.imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {layout.pop3}
  }}
  inet_listener pop3s {{
    port = {layout.pop3s}
    ssl = yes
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {layout.sieve}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {layout.lmtp}
  }}
}}
"""

_DEFAULTS_23 = """
ssl_cert = <{layout.certificate}
ssl_key = <{layout.key}
mail_location = mdbox:~/mdbox
passdb {{
  driver = sql
  args = {layout.sql}
}}
userdb {{
  driver = sql
  args = {layout.sql}
}}
"""

_DEFAULTS_24 = """
ssl_server_cert_file = {layout.certificate}
ssl_server_key_file = {layout.key}
mail_driver = mdbox
mail_path = %{{home}}/mdbox
sql_driver = sqlite
sqlite_path = {layout.database}
sqlite_readonly = yes
sqlite_journal_mode = wal
passdb sql {{
  query = {password}
}}
userdb sql {{
  query = {home}
}}
"""


def is_24(facts: Facts) -> bool:
    """Say which configuration language the machine's Dovecot speaks."""
    return facts.versions["dovecot"].startswith("2.4")


def defaults(layout: Layout, facts: Facts) -> tuple[File, ...]:
    """Return files that leave everything at Dovecot's default but places, accounts and the format of mail."""
    user = "%{user}" if is_24(facts) else "%u"
    password = _PASSWORD.format(user=user)
    home = _HOME.format(user=user, mail=layout.mail)
    if is_24(facts):
        head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
        text = head + (_COMMON + _DEFAULTS_24).format(layout=layout, password=password, home=home)
        return (File(layout.conf, text),)
    queries = f"password_query = {password}\nuser_query = {home}\n"
    sql = f"driver = sqlite\nconnect = {layout.database}\n{queries}"
    owner = f"root:{layout.auth_group}"
    return (
        File(layout.conf, (_COMMON + _DEFAULTS_23).format(layout=layout)),
        File(layout.sql, sql, 0o640, owner),
    )


def proxy(files: tuple[File, ...], backend: Layout, facts: Facts) -> tuple[File, ...]:
    """Return the driver's files with every login passed on by TLS: the backend asks for the password."""
    main, *others = files
    kept = re.sub(r"(?ms)^passdb .*?^}\n", "", main.content)
    if is_24(facts):
        port = f"%{{if(protocol, 'eq', 'imap', '{backend.imaps}', '{backend.pop3s}')}}"
    else:
        port = f"%{{if;%s;eq;imap;{backend.imaps};{backend.pop3s}}}"
    fields = {"nopassword": "y", "proxy": "y", "host": backend.probe, "port": port, "ssl": "any-cert"}
    if is_24(facts):
        lines = "\n".join(f"    {name} = {value}" for name, value in fields.items())
        passdb = f"passdb static {{\n  fields {{\n{lines}\n  }}\n}}\n"
    else:
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        passdb = f"passdb {{\n  driver = static\n  args = {words}\n}}\n"
    return (File(main.path, kept + passdb, main.mode, main.owner), *others)


_BARE_MAIN = """compatibility_level = 3.6
myhostname = {name}
mydestination =
alias_maps =
queue_directory = {layout.queue}
data_directory = {layout.state}
maillog_file = {layout.log}
maillog_file_prefixes = {layout.log}
mynetworks = 127.0.0.0/8
relay_domains = {domain}
relay_transport = lmtp:inet:[{home}]:{layout.lmtp}

smtpd_tls_security_level = may
smtpd_tls_cert_file = {layout.certificate}
smtpd_tls_key_file = {layout.key}
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
smtputf8_enable = yes
roost_door_milters =
roost_way_out_clients = reject
roost_way_out_rate = 0

lmtp_host_lookup = native
lmtp_tls_security_level = secure
lmtp_tls_secure_cert_match = nexthop
lmtp_tls_CAfile = {layout.ca}
lmtp_tls_mandatory_protocols = >=TLSv1.2
lmtp_tls_loglevel = 1
lmtp_tls_connection_reuse = {reuse}
"""


def bare_postfix(
    files: tuple[File, ...], layout: PostfixLayout, domain: str, home: str, *, reuse: bool
) -> tuple[File, ...]:
    """Return files that leave Postfix at its defaults but places, the one domain, its one next hop, and TLS.

    ``files`` are the driver's, whose ``master.cf`` is kept, so that the services are the same.
    """
    main, *others = files
    text = _BARE_MAIN.format(
        layout=layout, domain=domain, home=home, name=f"bare.{domain}", reuse="yes" if reuse else "no"
    )
    return (File(main.path, text, main.mode, main.owner), *others)
