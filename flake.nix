{
  description = "Convoy takes a fleet of NixOS hosts from one signed release to the next";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # The operator's command only.
      darwin = [
        "x86_64-darwin"
        "aarch64-darwin"
      ];

      each = systems: make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      package = pkgs: pkgs.callPackage ./modules/package.nix { };
    in
    {
      packages = each (linux ++ darwin) (
        pkgs:
        let
          convoy = package pkgs;
        in
        {
          default = convoy;
          inherit convoy;
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          convoy-cp = convoy.cp;
          convoy-agent = convoy.agent;
          convoy-activator = convoy.activator;
        }
      );

      overlays.default = final: _: { convoy = package final; };

      nixosModules = {
        agent = ./modules/agent.nix;
        control-plane = ./modules/control-plane.nix;
        default.imports = [
          ./modules/agent.nix
          ./modules/control-plane.nix
        ];
      };

      lib.mkFleet = import ./modules/fleet/mk-fleet.nix { inherit lib; };

      checks = each linux (
        pkgs:
        import ./tests/nix/checks.nix {
          inherit pkgs;
          source = self;
          convoy = package pkgs;
        }
      );

      apps = each linux (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (package pkgs);
          meta.description = "The operator's command";
        };
        demo = {
          type = "app";
          program = lib.getExe (
            pkgs.writeShellScriptBin "convoy-demo" ''exec ${lib.getExe (package pkgs)} demo "$@"''
          );
          meta.description = "A whole rollout with simulated hosts, failures included";
        };
      });

      devShells = each (linux ++ darwin) (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (package pkgs) ];
          packages = [
            pkgs.clippy
            pkgs.nixfmt
            pkgs.rust-analyzer
            pkgs.rustfmt
          ];
        };
      });

      formatter = each (linux ++ darwin) (pkgs: pkgs.nixfmt-tree);

      templates.default = {
        path = ./modules/template;
        description = "A small fleet: a control plane, a canary and two web servers";
        welcomeText = "Edit fleet.nix and hosts/, then read docs/operations/quickstart.md of Convoy.";
      };
    };
}
