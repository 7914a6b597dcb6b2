# The agent, and the root helper that it asks: settings, users, units, activation hook and pre-switch check.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.convoy.agent;
  probes = import ./probes.nix { inherit lib; };
  checked = import ./checked.nix { inherit lib pkgs; };

  user = "convoy-agent";

  # One directory of credentials for each unit; the path is part of systemd's interface.
  credentials = "/run/credentials/convoy-agent.service";
  given = lib.filterAttrs (_: value: value != null);

  agentSettings =
    given cfg.settings
    // {
      inherit (cfg) host;
    }
    // lib.optionalAttrs (cfg.tokenFile != null) { tokenFile = "${credentials}/token"; };

  # Which loader boots this host, and where its files are, is known here; the helper only guesses.
  loader = config.boot.loader;
  bootSettings =
    if loader.systemd-boot.enable then
      {
        bootLoader = "systemd-boot";
        bootMount = toString loader.efi.efiSysMountPoint;
      }
    else
      lib.optionalAttrs loader.grub.enable { bootLoader = "grub"; };

  program = "${cfg.package}/bin/convoy-agent";
  helper = "${cfg.activator.package}/bin/convoy-activator";
in
{
  imports = [
    ./agent/options.nix
    ./agent/units.nix
    ./trust.nix
  ];

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [
      cfg.package
      cfg.activator.package
    ];

    environment.etc = {
      "convoy/agent.json".source = checked {
        name = "agent.json";
        inherit program;
        settings = agentSettings;
      };
      "convoy/activator.json".source = checked {
        name = "activator.json";
        program = helper;
        settings = {
          inherit (cfg) host;
          agentUser = user;
        }
        // bootSettings
        // cfg.activator.settings;
      };
      "convoy/health-checks.json".source = (pkgs.formats.json { }).generate "health-checks.json" (
        probes.render cfg.healthChecks
      );
    };

    users.users.${user} = {
      isSystemUser = true;
      group = user;
      home = "/var/lib/convoy-agent";
      description = "Convoy agent";
    };
    users.groups.${user} = { };

    systemd.tmpfiles.rules = [
      "d /run/convoy 0755 root root -"
      "d /run/convoy/hook 0755 ${user} ${user} -"
    ];

    system.activationScripts.convoy = {
      deps = [
        "etc"
        "users"
      ];
      text = ''
        # Notes who activated what; must neither fail nor delay a switch.
        ${pkgs.coreutils}/bin/timeout 2 ${program} hook --closure "$systemConfig" >/dev/null 2>&1 || true
      '';
    };

    system.preSwitchChecks.convoy = ''
      # Warns of a closure that failed here before; must not refuse a switch.
      ${pkgs.coreutils}/bin/timeout 5 ${program} pre-switch-check "''${1-}" "''${2-}" || true
    '';

    assertions = import ./agent/assertions.nix {
      inherit
        config
        lib
        cfg
        user
        ;
    };
  };
}
