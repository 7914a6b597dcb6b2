"""An agent that is SIGKILLed while it stages, in the switch and in the soak takes up where it was."""

from harness.claims import committed, reaches
from harness.wait import same, until

CONVOY = True
CORE = True
EMULATED = True


def kill(host):
    """Kills the agent and waits for the next one."""
    before = host.unit("convoy-agent.service", "MainPID")
    host.exec("systemctl kill --signal=SIGKILL convoy-agent.service")
    until("another agent runs", lambda: host.unit("convoy-agent.service", "MainPID") not in ("", "0", before))


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.hold_switch("activated", "2")
    # It can't stage as long as the Nix daemon stands still.
    web1.exec("systemctl start nix-daemon.service; systemctl kill --signal=SIGSTOP nix-daemon.service")
    release = fleet.plane.publish("2", {web1: second}, policy={"soakMs": 10_000})
    until("it stages", lambda: web1.says(f"pgrep --euid convoy-agent --full {second}"))
    kill(web1)
    web1.exec("systemctl kill --signal=SIGCONT nix-daemon.service")
    web1.wait_held("activated", "2")
    kill(web1)
    web1.let_go("activated", "2")
    reaches(fleet, web1, release, "Soaking")
    kill(web1)
    committed(fleet, web1, release, second)
    events = fleet.plane.events(web1, release)
    same(events.count("activationStarted"), 1, f"activated once: {events}")
