# The fleets of `good` and `bad`, evaluated: what their golden files are compared with. `lib` is that of nixpkgs.
{ lib }:
let
  mkFleet = import ../../../modules/fleet/mk-fleet.nix { inherit lib; };
  fakeHost = import ./fake-host.nix { inherit lib; };

  # A store path that says in its name whose it is.
  closure = name: "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-${name}-26.05";

  # A host that probes can be added to.
  system = name: { nixosConfiguration = fakeHost { closure = closure name; }; };

  # A host that was built elsewhere.
  built = name: { closure = closure name; };

  fleets =
    folder:
    lib.mapAttrs' (
      file: _:
      lib.nameValuePair (lib.removeSuffix ".nix" file) (
        mkFleet (
          import (folder + "/${file}") {
            inherit
              lib
              fakeHost
              closure
              system
              built
              ;
          }
        )
      )
    ) (lib.filterAttrs (file: _: lib.hasSuffix ".nix" file) (builtins.readDir folder));
in
{
  good = lib.mapAttrs (_: fleet: { inherit (fleet) manifests healthChecks; }) (fleets ./good);
  bad = lib.mapAttrs (_: fleet: fleet.mistakes) (fleets ./bad);
  thrown = (fleets ./bad).mistakes-everywhere.manifests;
}
