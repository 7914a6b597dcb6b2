# The agent's options.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  convoy = pkgs.convoy or (pkgs.callPackage ../package.nix { });
  json = (pkgs.formats.json { }).type;
  probes = import ../probes.nix { inherit lib; };
in
{
  options.services.convoy.agent = {
    enable = lib.mkEnableOption "the Convoy agent, which takes this host from one signed release to the next";
    package = mkOption {
      type = types.package;
      default = convoy.agent;
      defaultText = lib.literalExpression "pkgs.convoy.agent";
      description = "The package with `convoy-agent`.";
    };
    host = mkOption {
      type = types.str;
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      example = "web1";
      description = "This host's name in the fleet. `lib.mkFleet` sets it.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = json;
        options = {
          controlPlane = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "https://cp.example.org:7600";
            description = "The control plane's address. Needed.";
          };
          ca = mkOption {
            type = types.nullOr types.path;
            default = null;
            example = lib.literalExpression "./fleet/ca.pem";
            description = "The authority (PEM, no secret) that the control plane's certificate is checked against.";
          };
          certificate = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "/var/lib/pki/agent.pem";
            description = ''
              This host's certificate, where something else than Convoy issues it; then the agent neither enrolls nor
              renews. It is read again when it changes.
            '';
          };
          key = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "/var/lib/pki/agent.key";
            description = "The key of `certificate`: owned by the user `convoy-agent` and readable by nobody else.";
          };
        };
      };
      default = { };
      example = lib.literalExpression ''
        {
          controlPlane = "https://cp.example.org:7600";
          ca = ./fleet/ca.pem;
        }
      '';
      description = "`agent.json`, as `convoy-agent check-config` knows it; checked when the system is built.";
    };
    tokenFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/var/lib/secrets/convoy-token";
      description = ''
        A file with this host's enrollment token, outside of the Nix store. The token is used once; the file may be
        removed afterwards.
      '';
    };
    healthChecks = probes.option ''
      Probes that this host runs in every soak, and afterwards. They are stronger than those of the same name that the
      fleet declares.
    '';
    activator = {
      package = mkOption {
        type = types.package;
        default = convoy.activator;
        defaultText = lib.literalExpression "pkgs.convoy.activator";
        description = "The package with `convoy-activator`, the root helper.";
      };
      settings = mkOption {
        type = types.submodule { freeformType = json; };
        default = { };
        example = {
          ignoreUnits = [ "certbot-*.service" ];
          freeNixMiB = 2048;
        };
        description = ''
          `activator.json`, as `convoy-activator check-config` knows it; checked when the system is built. `host` and
          `agentUser` are set already.
        '';
      };
    };
  };
}
