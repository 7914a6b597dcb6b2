# A whole NixOS to evaluate Convoy's modules in. With an older nixpkgs, today's `lib` is filled up with what it has
# dropped since, and the options and packages that came later are stood in for.
{
  nixpkgs,
  # `lib` of today's nixpkgs; only for an older one.
  lib ? null,
}:
let
  older = !builtins.pathExists (nixpkgs + "/pkgs/pkgs-lib");

  own = import (nixpkgs + "/lib");
  missing = have: want: removeAttrs want (builtins.attrNames have);
  filled = (import lib).extend (
    _: today: missing today own // { types = today.types // missing today.types own.types; }
  );
  theLib = if !older then own else filled;

  formats.json = _: {
    type = theLib.types.json;
    generate =
      name: value: builtins.toFile name (builtins.unsafeDiscardStringContext (builtins.toJSON value));
  };

  # A stand-in for the programs, which this test neither builds nor runs.
  program =
    name:
    derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
    };
  convoy = program "convoy" // {
    cp = program "convoy-cp";
    agent = program "convoy-agent";
    activator = program "convoy-activator";
  };

  later =
    { lib, ... }:
    let
      anything =
        default:
        lib.mkOption {
          type = lib.types.attrsOf lib.types.anything;
          inherit default;
        };
    in
    {
      options = {
        nix.settings = anything {
          allowed-users = [ "*" ];
          trusted-users = [ "root" ];
        };
        system.preSwitchChecks = anything { };
        system.switch.enable = lib.mkOption {
          type = lib.types.bool;
          default = true;
        };
      };
      # It evaluates the options anew, with arguments that today's `lib` takes in another way.
      config.documentation.nixos.enable = false;
    };
in
rec {
  inherit older;
  lib = theLib;

  # What a module finds in `pkgs`, and nowhere else.
  overlay = _: _: { inherit convoy; } // theLib.optionalAttrs older { inherit formats; };

  # Modules that every system of the tests has.
  base = [
    { nixpkgs.overlays = [ overlay ]; }
  ]
  ++ theLib.optional older later;

  # Evaluates a system with these modules, and nothing that stands in for its machine.
  bare =
    modules:
    let
      extendable = import (nixpkgs + "/nixos/lib/eval-config.nix") (
        {
          system = "x86_64-linux";
          modules = base ++ modules;
        }
        // theLib.optionalAttrs older { lib = theLib; }
      );
    in
    # An older NixOS can't be extended afterwards.
    {
      extendModules = more: bare (modules ++ more.modules);
    }
    // extendable;

  # Evaluates a system on some machine.
  system =
    modules:
    bare (
      [
        {
          fileSystems."/".device = "/dev/sda1";
          boot.loader.grub.device = "/dev/sda";
          networking.hostName = theLib.mkDefault "web1";
        }
      ]
      ++ modules
    );
}
