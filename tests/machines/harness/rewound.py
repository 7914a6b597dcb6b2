"""Puts an older copy of an agent's state back: what a restored snapshot of a machine does."""

STATE = "/var/lib/convoy-agent"


def rewind(host, act):
    """Copies the agent's state, does something, and puts the copy back under another start of the agent."""
    host.exec(f"systemctl stop convoy-agent.service && cp -a {STATE} /root/older && "
              "systemctl start convoy-agent.service")
    act()
    host.exec(f"systemctl stop convoy-agent.service && find {STATE} -mindepth 1 -delete && "
              f"cp -a /root/older/. {STATE}/ && systemctl start convoy-agent.service")
