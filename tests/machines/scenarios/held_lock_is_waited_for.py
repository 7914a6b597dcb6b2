"""While another switch holds the lock nothing starts; afterwards the host converges."""

from harness.claims import committed
from harness.wait import always

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.exec("mkdir -p /run/nixos")
    web1.exec("systemd-run --unit=holder flock /run/nixos/switch-to-configuration.lock sleep infinity")
    release = fleet.plane.publish("2", {web1: second})
    always("the prior runs", lambda: web1.running() == web1.closure, 10)
    web1.exec("systemctl stop holder.service")
    committed(fleet, web1, release, second)
