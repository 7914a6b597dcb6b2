# The control plane: one unit on SQLite. Its secrets are files outside of the Nix store that systemd hands to it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.convoy.controlPlane;
  convoy = pkgs.convoy or (pkgs.callPackage ./package.nix { });
  checked = import ./checked.nix { inherit lib pkgs; };

  at = "services.convoy.controlPlane";
  unit = "convoy-cp";
  program = "${cfg.package}/bin/convoy-cp";

  # What systemd hands over: the setting's name → its file.
  secrets = lib.filterAttrs (_: file: file != null) {
    tlsCertificate = cfg.tls.certificateFile;
    tlsKey = cfg.tls.keyFile;
    issuerCertificate = cfg.issuer.certificateFile;
    issuerKey = cfg.issuer.keyFile;
    firstTokens = cfg.firstTokensFile;
  };

  settings =
    lib.filterAttrs (_: value: value != null) cfg.settings
    // {
      trustFile = "/etc/convoy/trust.json";
    }
    // lib.mapAttrs (name: _: "/run/credentials/${unit}.service/${name}") secrets;

  port = builtins.match ".*:([0-9]{1,5})" cfg.settings.listen;
  loopback = builtins.match "(127\\.[0-9.]+|\\[::1]):[0-9]+" cfg.settings.listen != null;
  tls = [
    cfg.tls.certificateFile
    cfg.tls.keyFile
    cfg.settings.clientAuthorities
  ];
  issuer = [
    cfg.issuer.certificateFile
    cfg.issuer.keyFile
  ];
  all = lib.all (value: value != null);
  none = lib.all (value: value == null);
  inStore = lib.attrNames (
    lib.filterAttrs (
      name: file: lib.hasSuffix "Key" name && lib.hasPrefix builtins.storeDir file
    ) secrets
  );
  reserved = lib.intersectLists (lib.attrNames cfg.settings) [
    "trustFile"
    "tlsCertificate"
    "tlsKey"
    "issuerCertificate"
    "issuerKey"
    "firstTokens"
  ];

  file =
    example: description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit example description;
    };
in
{
  imports = [ ./trust.nix ];

  options.services.convoy.controlPlane = {
    enable = lib.mkEnableOption "the Convoy control plane, which decides which host goes when";
    package = mkOption {
      type = types.package;
      default = convoy.cp;
      defaultText = lib.literalExpression "pkgs.convoy.cp";
      description = "The package with `convoy-cp`.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port of `settings.listen` in the firewall.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = (pkgs.formats.json { }).type;
        options = {
          listen = mkOption {
            type = types.str;
            default = "127.0.0.1:7600";
            example = "0.0.0.0:7600";
            description = "Address and port to listen on; loopback only without `tls`.";
          };
          database = mkOption {
            type = types.str;
            default = "/var/lib/convoy-cp/convoy.db";
            description = "The database. Another place than the default has to be writable for the unit.";
          };
          clientAuthorities = mkOption {
            type = types.nullOr types.path;
            default = null;
            example = lib.literalExpression "./fleet/ca.pem";
            description = "The authorities (PEM, no secret) whose certificates hosts and people come in with.";
          };
        };
      };
      default = { };
      example = lib.literalExpression ''
        {
          listen = "0.0.0.0:7600";
          clientAuthorities = ./fleet/ca.pem;
          heartbeatIntervalMs = 60000;
        }
      '';
      description = "The settings, as `convoy-cp check-config` knows them; checked when the system is built.";
    };
    tls = {
      certificateFile = file "/var/lib/secrets/convoy/server.pem" "The server's certificate (PEM).";
      keyFile = file "/var/lib/secrets/convoy/server.key" ''
        Its key (PEM), outside of the Nix store. When it or another of these files changes, the control plane is
        restarted; hosts go on meanwhile.
      '';
    };
    issuer = {
      certificateFile = file "/var/lib/secrets/convoy/ca.pem" ''
        The authority that issues certificates to hosts (PEM). Unset, they come from elsewhere and nobody can enroll.
      '';
      keyFile = file "/var/lib/secrets/convoy/ca.key" "Its key (PEM), outside of the Nix store.";
    };
    firstTokensFile = file "/var/lib/secrets/convoy/first-tokens.json" ''
      The enrollment tokens that `convoy init` made, without their secrets; taken over once.
    '';
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    environment.etc."convoy/control-plane.json".source = checked {
      name = "control-plane.json";
      inherit program settings;
      arguments = [
        "--trust"
        config.services.convoy.trust.document
      ];
    };

    users.users.${unit} = {
      isSystemUser = true;
      group = unit;
      home = "/var/lib/convoy-cp";
      description = "Convoy control plane";
    };
    users.groups.${unit} = { };

    systemd.services.${unit} = {
      description = "Convoy control plane";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      # The file's path is the same in every closure; its content decides about a restart.
      restartTriggers = [
        config.environment.etc."convoy/control-plane.json".source
        config.services.convoy.trust.document
      ];
      stopIfChanged = false;
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig =
        import ./hardening.nix
        // {
          Type = "notify";
          ExecStart = "${program} run --config /etc/convoy/control-plane.json";
          User = unit;
          Group = unit;
          ProcSubset = "pid";
          StateDirectory = "convoy-cp";
          StateDirectoryMode = "0700";
          Restart = "always";
          RestartSec = 2;
          # A restore of a large database may take a while before it listens.
          TimeoutStartSec = "5min";
          WatchdogSec = 120;
          LimitNOFILE = 131072;
        }
        // lib.optionalAttrs (secrets != { }) {
          LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") secrets;
        };
    };

    # Handed-over files are copies, so a new certificate is taken by a restart.
    systemd.paths."${unit}-secrets" = lib.mkIf (secrets != { }) {
      description = "Secrets of the Convoy control plane";
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = lib.attrValues secrets;
    };
    systemd.services."${unit}-secrets" = lib.mkIf (secrets != { }) {
      description = "New secrets for the Convoy control plane";
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${config.systemd.package}/bin/systemctl try-restart ${unit}.service";
      };
    };

    networking.firewall.allowedTCPPorts = lib.optional (cfg.openFirewall && port != null) (
      lib.toIntBase10 (lib.head port)
    );

    assertions = [
      {
        assertion = port != null;
        message = "${at}.settings.listen is ${cfg.settings.listen}. Write an address and a port, such as \"0.0.0.0:7600\".";
      }
      {
        assertion = all tls || none tls;
        message = "${at}: tls.certificateFile, tls.keyFile and settings.clientAuthorities go together. Set all three.";
      }
      {
        assertion = loopback || all tls;
        message = ''
          ${at}.settings.listen is ${cfg.settings.listen}, and without TLS only loopback is possible. Run `convoy init`, and
          set ${at}.tls.certificateFile, ${at}.tls.keyFile and ${at}.settings.clientAuthorities to what it wrote.'';
      }
      {
        assertion = all issuer || none issuer;
        message = "${at}: issuer.certificateFile and issuer.keyFile go together. Set both, or neither.";
      }
      {
        assertion = none issuer || all tls;
        message = "${at}: hosts can enroll over TLS only. Set tls.certificateFile, tls.keyFile and settings.clientAuthorities.";
      }
      {
        assertion = inStore == [ ];
        message = ''
          ${at}: the files of ${lib.concatStringsSep ", " inStore} are in the Nix store, which everybody can read. Write a path
          such as "/var/lib/secrets/convoy/server.key", and put the file there by your own means.'';
      }
      {
        assertion = reserved == [ ];
        message = ''
          ${at}.settings.${lib.concatStringsSep ", " reserved}: is set by an option of its own. Use services.convoy.trust,
          ${at}.tls, ${at}.issuer or ${at}.firstTokensFile instead.'';
      }
      {
        assertion = !cfg.openFirewall || !loopback;
        message = ''
          ${at}.openFirewall is set, but ${cfg.settings.listen} can be reached from this machine only. Set
          ${at}.settings.listen to an address of the network, or remove openFirewall.'';
      }
    ];
  };
}
