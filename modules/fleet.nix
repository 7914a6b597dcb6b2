# The fleet language: hosts, channels, policies, order and probes as typed options. `lib.mkFleet` evaluates it to one
# release manifest for each channel; what is written here is what the control plane and the hosts enforce.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  probes = import ./probes.nix { inherit lib; };
  policy = import ./fleet/policy.nix { inherit lib; };

  # The fields of a probe are listed once, for the fleet's own.
  scoped = description: probes.option description // { visible = "shallow"; };

  host = types.submodule {
    options = {
      nixosConfiguration = mkOption {
        type = types.nullOr types.raw;
        default = null;
        example = lib.literalExpression "self.nixosConfigurations.web1";
        description = ''
          The host's system, as `nixpkgs.lib.nixosSystem` returns it. It imports Convoy's `nixosModules.agent`; the
          probes that the fleet declares for the host are added to it.
        '';
      };
      closure = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-web1-26.05";
        description = ''
          The store path of a system that was built elsewhere, instead of `nixosConfiguration`. It carries its own
          probes, since nothing can be added to it.
        '';
      };
      channel = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "stable";
        description = "The release train that the host follows. May be left out where the fleet has one channel.";
      };
      tags = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [
          "web"
          "canary"
        ];
        description = "Words that selectors, budgets and probes go by.";
      };
      after = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "db1" ];
        description = "Hosts of the same channel that must have finished well before this one starts.";
      };
      probes = scoped ''
        Probes of this host, as `probes`. They replace those of the same name that its channel, its tags or the fleet declare.
      '';
    };
  };

  channel = types.submodule {
    options = {
      policy = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "careful";
        description = "The policy that its releases carry. May be left out where the fleet has one policy.";
      };
      after = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "base" ];
        description = "Channels whose latest rollout must be completed before any host of this one starts.";
      };
      probes = scoped ''
        Probes of every host of the channel. They replace those of the same name of the tags and the fleet.
      '';
    };
  };

  tag = types.submodule {
    options.probes = scoped ''
      Probes of every host with the tag. They replace those of the same name of the fleet.
    '';
  };
in
{
  options = {
    ref = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = lib.literalExpression ''self.shortRev or "dirty"'';
      description = ''
        The release's name within its channel: 1 to 64 of `a-z A-Z 0-9 . _ -`. Needed, and new for each release, since a
        name that is known with another content is refused.
      '';
    };
    again = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the release lifts the quarantine of the closures that it names.";
    };
    hosts = mkOption {
      type = types.attrsOf host;
      default = { };
      example = lib.literalExpression ''
        {
          web1 = {
            nixosConfiguration = self.nixosConfigurations.web1;
            tags = [ "web" "canary" ];
          };
        }
      '';
      description = "The hosts, by their names in the fleet.";
    };
    channels = mkOption {
      type = types.attrsOf channel;
      default = { };
      example = lib.literalExpression "{ stable = { }; }";
      description = "The release trains. Each gets a manifest of its own.";
    };
    policies = mkOption {
      type = types.attrsOf policy.type;
      default = { };
      example = lib.literalExpression ''
        {
          default.waves = [
            {
              name = "canary";
              select.tags = [ "canary" ];
            }
            {
              name = "rest";
              select.not.tags = [ "canary" ];
            }
          ];
        }
      '';
      description = "In which waves, under which rules. Every policy is used by at least one channel.";
    };
    tags = mkOption {
      type = types.attrsOf tag;
      default = { };
      example = lib.literalExpression ''
        {
          web.probes.nginx = {
            kind = "unit";
            unit = "nginx.service";
          };
        }
      '';
      description = "What is declared for all hosts with a tag. A tag without probes needs no entry.";
    };
    probes = probes.option ''
      Probes of every host. The narrower scope wins, whole probe by whole probe: the host's own NixOS configuration,
      then `hosts`, `channels`, `tags`, and this.
    '';
  };
}
