"""A closure whose trust file can't verify the next release is not committed; its host goes back."""

import json

from harness.claims import back
from harness.convoy import settings

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    other = json.dumps({"version": 1, "threshold": 1, "keys": {"other": fleet.plane.make_key("other")}})
    second = fleet.offer(web1, "2", etc=settings("web1", other))
    release = fleet.plane.publish("2", {web1: second})
    back(fleet, web1, release)
