# The outputs of flake.nix, and its template, with the nixpkgs at hand in place of the locked one.
{
  nixpkgs,
  lib ? null,
}:
let
  nixos = import ./nixos.nix { inherit nixpkgs lib; };

  outputs = (import ../../flake.nix).outputs {
    self = ../..;
    nixpkgs = {
      inherit (nixos) lib;
      legacyPackages = nixos.lib.genAttrs nixos.lib.systems.flakeExposed (system: {
        inherit (nixos) lib;
        path = nixpkgs;
        stdenv.hostPlatform.isLinux = nixos.lib.hasSuffix "linux" system;
        callPackage = _: _: {
          cp = { };
          agent = { };
          activator = { };
        };
        extend = _: { inherit (nixos) lib; };
      });
    };
  };
  names = builtins.mapAttrs (_: builtins.attrNames);

  template = (import ../../modules/template/flake.nix).outputs {
    self.shortRev = "0123abc";
    nixpkgs.lib = nixos.lib // {
      # The base of the tests brings a boot loader and a disk that the template has of its own.
      nixosSystem = args: nixos.bare args.modules;
    };
    convoy = outputs;
  };
in
{
  names = {
    packages = names outputs.packages;
    checks = names outputs.checks;
    apps = names outputs.apps;
    devShells = names outputs.devShells;
    formatter = builtins.attrNames outputs.formatter;
    template = builtins.attrNames outputs.templates.default;
  };
  template = {
    inherit (template.convoyFleet) mistakes;
    waves = map (wave: {
      inherit (wave) name hosts;
    }) template.convoyFleet.manifests.stable.waves;
    inherit (template.convoyFleet.manifests.stable) release;
    probes = builtins.mapAttrs (
      _: checks: map (probe: probe.name) checks.probes
    ) template.convoyFleet.healthChecks;
    assertions = nixos.lib.concatMap (
      system: map (one: one.message) (builtins.filter (one: !one.assertion) system.config.assertions)
    ) (builtins.attrValues template.nixosConfigurations);
    closures = builtins.mapAttrs (
      _: nixos.lib.hasPrefix builtins.storeDir
    ) template.convoyFleet.closures;
  };
}
