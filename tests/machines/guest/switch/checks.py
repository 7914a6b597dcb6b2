"""What may refuse a switch before anything is touched."""

import json
import os
import subprocess


def inhibitors(toplevel):
    """Reads what must not change in a live switch."""
    try:
        with open(f"{toplevel}/switch-inhibitors") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def pre_switch_checks(toplevel, action, say):
    """Runs the checks that this system declares, and the inhibitors for a live switch."""
    own = f"{toplevel}/lib/pre-switch-check"
    if os.path.exists(own):
        status = subprocess.run([own, toplevel, action], check=False).returncode
        if status:
            say("Pre-switch checks failed")
            return False
    if action not in ("switch", "test"):
        return True
    running, new = inhibitors("/run/current-system"), inhibitors(toplevel)
    changed = sorted(key for key in running.keys() & new.keys() if running[key] != new[key])
    if changed:
        say(f"There are changes to critical components of the system: {', '.join(changed)}")
    return not changed
