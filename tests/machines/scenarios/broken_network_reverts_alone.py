"""Link down, firewall, wrong address: each host comes back without the control plane, and reconnects."""

from harness.claims import END_LIMIT, back, probe_of_cache, runs_prior
from harness.convoy import settings
from harness.wait import same, until

CONVOY = True
CORE = True
EMULATED = True
ONESHOT = "[Unit]\nAfter=network-eth0.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={start}\n" \
          "ExecStop={stop}\n[Install]\nWantedBy=multi-user.target\n"
DOWN = ONESHOT.format(start="/usr/bin/ip link set eth0 down", stop="/usr/bin/ip link set eth0 up")
WALL = ONESHOT.format(
    start="/usr/sbin/nft 'table inet wall { chain in { type filter hook input priority 0; policy drop; }; }'",
    stop="/usr/sbin/nft delete table inet wall")


def run(fleet):
    hosts = [fleet.add(name) for name in ("down", "wall", "wrong")]
    for host in hosts:
        probes = settings(host.name, fleet.plane.trust, [probe_of_cache(fleet.cache)])
        host.system = host.system.next("1", etc=probes)
    fleet.start()
    down, wall, wrong = hosts
    closures = {down: fleet.offer(down, "2", units={"down.service": DOWN}),
                wall: fleet.offer(wall, "2", units={"wall.service": WALL}),
                wrong: fleet.offer(wrong, "2", address="10.78.0.11")}
    release = fleet.plane.publish("2", closures, policy={"soakMs": 20_000})
    for host in hosts:
        until(f"{host.name} switched", lambda: host.running() == closures[host])
    fleet.plane.kill()
    for host in hosts:
        until(f"{host.name} came back alone", lambda: host.running() == host.closure, END_LIMIT)
    fleet.plane.start()
    for host in hosts:
        back(fleet, host, release)
        runs_prior(host)
        same(host.failed(), [], f"{host.name} has no failed units")
