"""A fleet as a flake that needs no network: its systems are drawn-up folders, as the builder's own are."""

import json
import platform
import shutil

from harness.plane import NAMESPACE, draft

FLAKE = """{
  outputs = { self }: let
    fleet = builtins.fromJSON (builtins.readFile ./fleet.json);
    # What a drawing names in the store becomes a reference of the closure.
    inStore = path: builtins.appendContext path { ${path} = { path = true; }; };
    system = host: { drawing, inputs }: derivation {
      name = "system-${host}";
      system = fleet.system;
      source = ./. + "/${drawing}";
      inputs = map inStore inputs;
      builder = "/bin/sh";
      args = [ "-ec" ''
        PATH=/usr/bin:/bin
        cp -r "$source" "$out"
        chmod -R u+w "$out"
        grep -rlI '@out@' "$out" | xargs -r sed -i "s|@out@|$out|g"
      '' ];
    };
    systems = builtins.mapAttrs system fleet.drawings;
    closures = builtins.mapAttrs (_: system: "${system}") systems;
  in {
    convoyFleet = {
      inherit closures;
      manifests.stable = fleet.manifest // {
        hosts = builtins.mapAttrs (_: closure: { inherit closure; }) closures;
      };
      nixosConfigurations = builtins.mapAttrs (_: system: { config.system.build.toplevel = system; }) systems;
    };
  };
}
"""
PLACE = "root/fleet"


def write(fleet, ref, systems, waves):
    """Writes the flake of a release {host: system} where the builder's Nix finds it, and returns how it is named."""
    folder = fleet.builder.root.path / PLACE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    drawings = {}
    for host, system in systems.items():
        drawing = f"drawing-{host.name}"
        system.draw(folder / drawing, fleet.builder.key)
        drawings[host.name] = {"drawing": drawing, "inputs": [system.programs] if system.programs else []}
    manifest = draft(f"stable@{ref}", {}, waves, {})
    for wave in manifest["waves"]:
        wave["reboot"] = "live"
    said = {"system": f"{platform.machine()}-linux", "drawings": drawings, "manifest": manifest}
    (folder / "fleet.json").write_text(json.dumps(said))
    (folder / "flake.nix").write_text(FLAKE)
    return f"path:/{PLACE}"


def build(fleet, flake, *words, check=True):
    """Runs `convoy release build` beside the builder's store; the control plane is at its loopback."""
    key = fleet.builder.root.path / "root/fleet.key"
    shutil.copy(fleet.plane.folder / "fleet.key", key)
    key.chmod(0o600)
    command = ["ip", "netns", "exec", NAMESPACE, "chroot", fleet.builder.root.path,
               f"{fleet.programs}/bin/convoy", "release", "build", flake, "--key", "/root/fleet.key", *words]
    done = fleet.builder.beside(command, check)
    fleet.note(f"operator$ convoy release build {' '.join(words)}\n{done.stdout}{done.stderr}[{done.returncode}]")
    return done
