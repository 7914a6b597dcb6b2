"""Makes a host ask for its permit after a pause that it has not heard of."""

from harness.helper import AS_AGENT
from harness.wait import until

JOURNAL = "/var/lib/convoy-agent"


def ask_after_a_pause(fleet, host):
    """Pauses a rollout between a host's invitation and its question; returns target and release."""
    second = fleet.offer(host, "2")
    # It is invited, and can't stage: the Nix daemon stands still.
    host.exec("systemctl start nix-daemon.service")
    host.exec("systemctl kill --signal=SIGSTOP nix-daemon.service")
    release = fleet.plane.publish("2", {host: second})
    user = AS_AGENT[2]
    until("it stages", lambda: host.says(f"pgrep --euid {user} --full {second}"))
    # What the control plane says from here on does not arrive.
    host.exec("systemctl kill --signal=SIGSTOP relay.service")
    fleet.plane.operate("rollout", "pause", release)
    host.exec("systemctl kill --signal=SIGCONT nix-daemon.service")
    until("it asks", lambda: host.says(f"grep --recursive --files-with-matches dispatchAcked {JOURNAL}"))
    host.exec("systemctl kill --signal=SIGCONT relay.service")
    return second, release
