"""The helper alone: power cut in switch, soak and commit; each host boots one of the two, and its record says which."""

from harness.claims import runs_prior
from harness.helper import about, ask, records, start
from harness.wait import same, until

CONVOY = True
ALONE = {"units": {"convoy-agent.service": None}}
EMULATED = True


def state(host):
    """Returns the state of the newest record."""
    return records(host)[0]["state"]


def run(fleet):
    switch, soak, loader, installed = (fleet.add(name, **ALONE) for name in ("switch", "soak", "loader", "installed"))
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in fleet.hosts.values()}
    signed = fleet.plane.sign("2", closures)
    switch.hold_switch("activated", "2")
    for host in closures:
        host.fetch(closures[host])
        same(ask(host, start(signed, host))["kind"], "done", "the start")
    switch.wait_held("activated", "2")
    for host in (soak, loader, installed):
        until(f"{host.name} runs the target", lambda: state(host) == "soaking")
    for host in (loader, installed):
        host.hold_switch(host.name, "2")
        same(ask(host, about("commit", signed.release), user=False)["kind"], "done", "the commit")
        host.wait_held(host.name, "2")
    for host in closures:
        host.power_cut()
        for point in ("activated", host.name):
            host.let_go(point, "2")
    fleet.side_by_side(lambda host: host.power_on(), list(closures))
    for host in (switch, soak):
        runs_prior(host)
        until(f"{host.name} starts over", lambda: state(host) in ("reverted", "launched"))
    until("the loader had the prior", lambda: (loader.running(), loader.default(), loader.profile())
          == (loader.closure,) * 3)
    until("the commit is finished", lambda: state(installed) == "committed")
    same((installed.running(), installed.profile(), installed.default()), (closures[installed],) * 3, "one of the two")
