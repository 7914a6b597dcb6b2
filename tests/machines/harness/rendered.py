"""The units and settings that the NixOS modules render, as the golden files of `tests/nix` keep them."""

from harness import convoy
from harness.paths import REPO

FIXTURES = REPO / "tests/fixtures/units"
UNITS = ["convoy-cp.service", "convoy-agent.service", "convoy-activator.socket", "convoy-activator@.service",
         "convoy-boot-guard.service"]
SETTINGS = ["control-plane.json", "agent.json", "activator.json"]


def units(programs):
    """Returns the units, with the programs in the place of their packages; nothing starts them by itself."""
    found = f"[Service]\nEnvironment=PATH={convoy.PATH} NIX_REMOTE=daemon\n"
    texts = {name: (FIXTURES / name).read_text().replace("@bin@", f"{programs}/bin") for name in UNITS}
    return {name: text.replace("[Service]\n", found) for name, text in texts.items()}


def settings():
    """Returns the settings, as files below /etc."""
    return {f"convoy/{name}": (FIXTURES / name).read_text() for name in SETTINGS}
