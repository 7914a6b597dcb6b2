# The units of agent and root helper. The settings that decide what a switch does to a unit are those of the *older* closure
# when a host goes back, so they must never be left out.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.convoy.agent;
  user = "convoy-agent";
  helper = "${cfg.activator.package}/bin/convoy-activator";

  # Both hand their PATH on to what they start: units of their own, which are to work whatever else is installed.
  path = [
    config.nix.package
    config.systemd.package
    pkgs.coreutils
  ]
  ++ lib.optional config.boot.loader.grub.enable pkgs.grub2;
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.convoy-agent = {
      description = "Convoy agent";
      wantedBy = [ "multi-user.target" ];
      wants = [ "convoy-activator.socket" ];
      after = [
        "network.target"
        "convoy-activator.socket"
        "convoy-boot-guard.service"
        "nix-daemon.socket"
      ];
      inherit path;
      # Trust file and probes are read from the running closure whenever they are needed; these settings once.
      restartTriggers = [ config.environment.etc."convoy/agent.json".source ];
      # A new agent replaces the old one at the end of the switch, in one step; one that the next closure lacks goes on.
      stopIfChanged = false;
      unitConfig = {
        StartLimitIntervalSec = 0;
        X-StopOnRemoval = false;
      };
      serviceConfig =
        import ../hardening.nix
        // {
          Type = "notify";
          ExecStart = "${cfg.package}/bin/convoy-agent run --config /etc/convoy/agent.json";
          User = user;
          Group = user;
          StateDirectory = [
            "convoy-agent"
            "convoy-identity"
          ];
          StateDirectoryMode = "0700";
          # Notes of the activation hook are removed once they are in the journal.
          ReadWritePaths = [ "-/run/convoy/hook" ];
          Restart = "always";
          RestartSec = 2;
          WatchdogSec = 120;
        }
        // lib.optionalAttrs (cfg.tokenFile != null) {
          # The default, an empty line, lets the agent start after the token was used and its file removed.
          LoadCredential = [ "token:${cfg.tokenFile}" ];
          SetCredential = [ "token:\\n" ];
        };
    };

    systemd.sockets.convoy-activator = {
      description = "Requests to Convoy's root helper";
      wantedBy = [ "sockets.target" ];
      unitConfig.X-StopOnRemoval = false;
      socketConfig = {
        ListenStream = "/run/convoy/activator.sock";
        Accept = true;
        SocketUser = "root";
        SocketGroup = user;
        SocketMode = "0660";
        DirectoryMode = "0755";
        MaxConnections = 16;
      };
    };

    # Long acts run in transient units; this one answers and ends. It keeps the rights that nix-store, systemd-run and the
    # boot loader's tools need; nix-store makes a mount namespace of its own to write the store.
    systemd.services."convoy-activator@" = {
      description = "One request to Convoy's root helper";
      inherit path;
      restartIfChanged = false;
      stopIfChanged = false;
      unitConfig = {
        CollectMode = "inactive-or-failed";
        X-StopOnRemoval = false;
      };
      serviceConfig = {
        ExecStart = "${helper} serve";
        StandardInput = "socket";
        StandardOutput = "journal";
        StandardError = "journal";
        RuntimeMaxSec = 60;
        StateDirectory = "convoy-activator";
        StateDirectoryMode = "0700";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };

    systemd.services.convoy-boot-guard = {
      description = "Convoy's guard of a boot";
      # Emergency mode too: a trial boot that ends there has to come back. Therefore none of the default dependencies, for
      # they would require what emergency mode takes away.
      wantedBy = [
        "multi-user.target"
        "emergency.target"
        "rescue.target"
      ];
      after = [ "local-fs.target" ];
      before = [
        "convoy-agent.service"
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];
      inherit path;
      # It looks at boots, and a switch is none.
      restartIfChanged = false;
      stopIfChanged = false;
      unitConfig = {
        DefaultDependencies = false;
        IgnoreOnIsolate = true;
        X-StopOnRemoval = false;
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${helper} boot-guard";
        ExecStop = "${helper} shutdown-mark";
        StateDirectory = "convoy-activator";
        StateDirectoryMode = "0700";
      };
    };
  };
}
