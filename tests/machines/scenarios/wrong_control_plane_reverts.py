"""A closure with a wrong control-plane address is not committed; its host goes back and reports."""

from harness.claims import back
from harness.convoy import settings

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    wrong = settings("web1", fleet.plane.trust, control_plane="http://127.0.0.1:7999")
    second = fleet.offer(web1, "2", etc=wrong)
    release = fleet.plane.publish("2", {web1: second}, policy={"isolationLimitMs": 120_000})
    back(fleet, web1, release)
