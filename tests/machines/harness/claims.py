"""What scenarios claim of a host again and again."""

from harness.wait import same, until

# Seconds within which a host with a scenario's limits ends one way or the other.
END_LIMIT = 150
FAILING = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"
FINE = FAILING.replace("/bin/false", "/bin/true")
FINAL = ("Converged", "Failed", "Reverted", "Cancelled")


def reaches(fleet, host, release, state, limit=END_LIMIT):
    """Waits until the control plane shows a host in a state; fails at once when it ended in another one."""
    def there():
        found = fleet.plane.state(host, release)
        if found in FINAL and found != state and not (found == "Failed" and state == "Reverted"):
            verdict = (fleet.plane.attempt(host, release) or {}).get("verdict")
            same(found, state, f"{host.name} in {release} ({verdict})")
        return found == state
    until(f"{host.name} is {state} in {release}", there, limit)


def committed(fleet, host, release, closure, limit=END_LIMIT):
    """Waits until a host converged, and looks whether that is the truth."""
    reaches(fleet, host, release, "Converged", limit)
    same((host.running(), host.profile(), host.default()), (closure,) * 3, f"{host.name} runs, names and boots it")


def back(fleet, host, release, limit=END_LIMIT):
    """Waits until a host reverted, and looks whether that is the truth."""
    reaches(fleet, host, release, "Reverted", limit)
    runs_prior(host)


def runs_prior(host):
    """Looks whether the first closure runs and boots."""
    same((host.running(), host.profile(), host.default()), (host.closure,) * 3, f"{host.name} is on its prior")


def probe_of_cache(cache):
    """Returns an enforced probe that needs the network, but not the control plane."""
    return {"name": "cache", "kind": "reach", "addresses": [cache.removeprefix("http://")], "intervalMs": 500,
            "timeoutMs": 500}
