"""A host that was invited before a pause, and did not hear of it, gets no permit and starts nothing in the pause."""

from harness.claims import committed
from harness.invited import ask_after_a_pause
from harness.wait import always, until

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second, release = ask_after_a_pause(fleet, web1)
    until("the permit was refused", lambda: "permitLapsed" in fleet.plane.events(web1, release))
    always("the prior runs", lambda: web1.running() == web1.closure, 10)
    fleet.plane.operate("rollout", "resume", release)
    committed(fleet, web1, release, second)
