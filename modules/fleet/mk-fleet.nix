# `lib.mkFleet`: evaluates a fleet and gives what a release is made of. Its argument is a module, or a list of them.
#
#   manifests.CHANNEL      the release manifest, as it is signed
#   healthChecks.HOST      the probes that the host's closure carries
#   nixosConfigurations    the hosts' systems, with those probes: build and install these
#   closures.HOST          the store paths that the manifests name
#   mistakes               every mistake, as texts; the others fail with all of them while there is one
#   config, options        the evaluated module
{ lib }:
fleet:
let
  probes = import ../probes.nix { inherit lib; };
  check = import ./check.nix { inherit lib; };
  resolve = import ./resolve.nix { inherit lib; };
  manifest = import ./manifest.nix { inherit lib; };

  evaluated = lib.evalModules {
    class = "convoyFleet";
    modules = [ ../fleet.nix ] ++ lib.toList fleet;
  };
  inherit (evaluated) config;
  resolved = resolve config;
  mistakes = check config (resolved // { systems = nixosConfigurations; });

  # Nobody reads on after so many.
  shown = lib.take 100 mistakes;
  more = lib.length mistakes - lib.length shown;

  # Nothing of a fleet that is wrong somewhere may be used.
  sound =
    value:
    if mistakes == [ ] then
      value
    else
      throw ''
        the fleet has ${toString (lib.length mistakes)} mistake(s):
        ${lib.concatMapStringsSep "\n" (mistake: "  - ${mistake}") shown}${
          lib.optionalString (more > 0) "\n  and ${toString more} more"
        }'';

  # The host's own configuration is stronger than any scope of the fleet.
  extend =
    name: host:
    host.nixosConfiguration.extendModules {
      modules = [
        {
          _file = "the convoy fleet, for ${name}";
          services.convoy.agent = {
            host = lib.mkDefault name;
            healthChecks = lib.mapAttrs (
              _: probe: lib.mkDefault (probes.written probe)
            ) resolved.probes.${name};
          };
        }
      ];
    };

  nixosConfigurations = lib.mapAttrs extend (
    lib.filterAttrs (_: host: host.nixosConfiguration != null) config.hosts
  );

  closures = lib.mapAttrs (
    name: host:
    if host.closure != null then
      host.closure
    else
      "${nixosConfigurations.${name}.config.system.build.toplevel}"
  ) config.hosts;
in
{
  inherit (evaluated) config options;
  inherit mistakes;
  nixosConfigurations = sound nixosConfigurations;
  closures = sound closures;
  manifests = sound (
    lib.mapAttrs (_: channel: manifest { inherit config channel closures; }) resolved.channels
  );
  healthChecks = sound (
    lib.mapAttrs (
      _: system: probes.render system.config.services.convoy.agent.healthChecks
    ) nixosConfigurations
  );
}
