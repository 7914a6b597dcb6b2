{
  description = "A fleet that Convoy takes from one signed release to the next";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Where you have Convoy from.
    convoy.url = "github:example/convoy";
    convoy.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      self,
      nixpkgs,
      convoy,
    }:
    let
      inherit (nixpkgs) lib;

      system =
        name:
        lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            convoy.nixosModules.default
            ./hosts/common.nix
            ./hosts/${name}.nix
            { networking.hostName = name; }
          ];
        };

      fleet = convoy.lib.mkFleet {
        imports = [ ./fleet.nix ];
        # A name of its own for each release: here, the commit that it is made from.
        ref = self.shortRev or "dirty";
        hosts = lib.genAttrs [ "cp1" "web1" "web2" "web3" ] (name: {
          nixosConfiguration = system name;
        });
      };
    in
    {
      # With the fleet's probes in them; `nixos-rebuild` and `nix build` take them from here.
      inherit (fleet) nixosConfigurations;

      # What a release is made of.
      convoyFleet = fleet;
    };
}
