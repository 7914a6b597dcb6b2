# The VM tests as derivations, and their scripts; nothing is built. An older nixpkgs has no `runNixOSTest`: what it makes of
# a test is stood in for by the nodes' own VMs.
{
  nixpkgs,
  lib ? null,
}:
let
  nixos = import ./nixos.nix { inherit nixpkgs lib; };

  evaluate =
    name: modules:
    (nixos.system (
      modules
      ++ [
        (nixpkgs + "/nixos/modules/virtualisation/qemu-vm.nix")
        (nixpkgs + "/nixos/modules/testing/test-instrumentation.nix")
        { networking.hostName = name; }
      ]
    )).config;

  # An older NixOS evaluates specialisations with its own `lib`, and does not show what comes out.
  node =
    name: module:
    let
      alone = {
        specialisation = nixos.lib.mkForce { };
      };
      special = one: {
        configuration = evaluate name [
          module
          one.configuration
          alone
        ];
      };
    in
    evaluate name [
      module
      alone
    ]
    // {
      specialisation = builtins.mapAttrs (_: special) (evaluate name [ module ]).specialisation;
    };

  runNixOSTest =
    test:
    let
      nodes = builtins.mapAttrs node test.nodes;
      testScript = test.testScript { inherit nodes; };
    in
    derivation {
      name = "vm-test-run-${test.name}";
      system = "x86_64-linux";
      builder = "/bin/sh";
      vms = map (node: node.system.build.vm) (builtins.attrValues nodes);
      inherit testScript;
    };

  own = import nixpkgs {
    system = "x86_64-linux";
    overlays = [ nixos.overlay ];
  };
  pkgs =
    own
    // nixos.lib.optionalAttrs nixos.older {
      inherit (nixos) lib;
      testers = { inherit runNixOSTest; };
    };
  tests = import ../vm { inherit pkgs; };
in
{
  derivations = builtins.mapAttrs (_: test: test.drvPath) tests;
  scripts = builtins.mapAttrs (
    _: test: builtins.unsafeDiscardStringContext (test.testScript or test.config.testScriptString)
  ) tests;
}
