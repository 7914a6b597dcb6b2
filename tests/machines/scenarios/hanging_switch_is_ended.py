"""A switch that hangs is ended at its limit, and the host goes back."""

from harness.claims import back
from harness.wait import until

CONVOY = True
CORE = True
EMULATED = True
HANGS = "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/usr/bin/sleep infinity\n" \
        "[Install]\nWantedBy=multi-user.target\n"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2", units={"hangs.service": HANGS})
    release = fleet.plane.publish("2", {web1: second}, policy={"switchLimitMs": 10_000})
    until("it hangs", lambda: web1.unit("hangs.service") == "activating")
    back(fleet, web1, release)
