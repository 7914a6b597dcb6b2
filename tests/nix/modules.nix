# Convoy's modules inside a whole NixOS: each test is a claim, and what was found instead where it does not hold.
{
  nixpkgs,
  lib ? null,
}:
let
  nixos = import ./nixos.nix { inherit nixpkgs lib; };
  inherit (nixos.lib)
    attrNames
    concatStringsSep
    filter
    filterAttrs
    hasInfix
    hasPrefix
    hasSuffix
    mapAttrs
    subtractLists
    ;
  inherit (nixos.lib.strings) splitString;

  key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
  trust.services.convoy.trust.keys.ci = key;

  agent = {
    imports = [ ../../modules/agent.nix ];
    services.convoy.agent.enable = true;
  };
  goodAgent = {
    imports = [
      agent
      trust
    ];
    services.convoy.agent = {
      settings = {
        controlPlane = "https://cp.example.org:7600";
        ca = "/var/lib/convoy/ca.pem";
        heartbeatFloorMs = 10000;
      };
      tokenFile = "/var/lib/secrets/token";
      activator.settings.ignoreUnits = [ "certbot-*.service" ];
      healthChecks.web = {
        kind = "http";
        url = "http://127.0.0.1/";
      };
    };
  };

  controlPlane = {
    imports = [ ../../modules/control-plane.nix ];
    services.convoy.controlPlane.enable = true;
  };
  goodControlPlane = {
    imports = [
      controlPlane
      trust
    ];
    services.convoy.controlPlane = {
      openFirewall = true;
      settings = {
        listen = "0.0.0.0:7600";
        clientAuthorities = "/var/lib/convoy/ca.pem";
      };
      tls = {
        certificateFile = "/var/lib/convoy/server.pem";
        keyFile = "/var/lib/convoy/server.key";
      };
      issuer = {
        certificateFile = "/var/lib/convoy/issuer.pem";
        keyFile = "/var/lib/convoy/issuer.key";
      };
      firstTokensFile = "/var/lib/convoy/first-tokens.json";
    };
  };

  host = (nixos.system [ goodAgent ]).config;
  server = (nixos.system [ goodControlPlane ]).config;
  both =
    (nixos.system [
      goodAgent
      goodControlPlane
    ]).config;
  bothModules.imports = [
    ../../modules/agent.nix
    ../../modules/control-plane.nix
  ];
  neither = nixos.system [ bothModules ];

  unit = system: name: system.systemd.units.${name}.text;
  units =
    system:
    mapAttrs (_: unit: unit.text) (filterAttrs (name: _: hasPrefix "convoy" name) system.systemd.units);
  etc = system: attrNames (filterAttrs (name: _: hasPrefix "convoy/" name) system.environment.etc);

  # JSON that was written through the stand-in of an older nixpkgs is a file of the store right away.
  settingsOf = module: name: (nixos.system [ module ]).config.environment.etc."convoy/${name}".source;

  failed =
    modules:
    map (one: one.message) (filter (one: !one.assertion) (nixos.system modules).config.assertions);

  # A unit has these lines.
  lines = system: name: wanted: {
    ok = subtractLists (splitString "\n" (unit system name)) wanted == [ ];
    found = unit system name;
  };
  equal = wanted: found: {
    ok = wanted == found;
    inherit found;
  };
  # Each wanted text is in the messages, in order, and there is none more.
  says =
    wanted: modules:
    let
      found = failed modules;
    in
    {
      ok =
        builtins.length wanted == builtins.length found
        && builtins.all (pair: hasInfix pair.fst pair.snd) (nixos.lib.zipLists wanted found);
      inherit found;
    };

  hardened = [
    "CapabilityBoundingSet="
    "MemoryDenyWriteExecute=true"
    "NoNewPrivileges=true"
    "PrivateUsers=true"
    "ProtectHome=true"
    "ProtectSystem=strict"
    "RestrictNamespaces=true"
    "SystemCallFilter=~@privileged"
    "UMask=0077"
  ];

  claims = {
    "a host with the agent has no failing assertion" = equal [ ] (failed [ goodAgent ]);
    "a control plane has no failing assertion" = equal [ ] (failed [ goodControlPlane ]);
    "one machine may be both" = equal [ ] (failed [
      goodAgent
      goodControlPlane
    ]);
    "the whole system evaluates to a derivation" = {
      ok = hasSuffix ".drv" both.system.build.toplevel.drvPath;
      found = both.system.build.toplevel.drvPath;
    };
    "without enable there are neither units nor files, and nothing to set" =
      equal
        [
          { }
          [ ]
          [ ]
        ]
        [
          (units neither.config)
          (etc neither.config)
          (failed [ bothModules ])
        ];

    "the agent survives its own update and a rollback" = lines host "convoy-agent.service" [
      "X-StopIfChanged=false"
      "X-StopOnRemoval=false"
      "Type=notify"
      "Restart=always"
      "WatchdogSec=120"
      "StartLimitIntervalSec=0"
    ];
    "the agent is replaced by a switch, not kept" = {
      ok = !hasInfix "X-RestartIfChanged" (unit host "convoy-agent.service");
      found = unit host "convoy-agent.service";
    };
    "the agent is hardened and unprivileged" = lines host "convoy-agent.service" (
      hardened ++ [ "User=convoy-agent" ]
    );
    "the agent starts after its token was used" = lines host "convoy-agent.service" [
      "LoadCredential=token:/var/lib/secrets/token"
      "SetCredential=token:\\n"
    ];
    "journal and identity have directories of their own" = lines host "convoy-agent.service" [
      "StateDirectory=convoy-agent"
      "StateDirectory=convoy-identity"
      "StateDirectoryMode=0700"
    ];
    "the helper's socket is for root and the agent" = lines host "convoy-activator.socket" [
      "Accept=true"
      "ListenStream=/run/convoy/activator.sock"
      "SocketGroup=convoy-agent"
      "SocketMode=0660"
      "SocketUser=root"
      "X-StopOnRemoval=false"
    ];
    "the helper's socket is the same in every closure" = {
      ok = !hasInfix "/nix/store" (unit host "convoy-activator.socket");
      found = unit host "convoy-activator.socket";
    };
    "a switch leaves a request to the helper alone" = lines host "convoy-activator@.service" [
      "X-RestartIfChanged=false"
      "X-StopOnRemoval=false"
      "RuntimeMaxSec=60"
      "CollectMode=inactive-or-failed"
    ];
    "the boot guard looks at boots only, in emergency mode too" = lines host "convoy-boot-guard.service" [
      "X-RestartIfChanged=false"
      "X-StopOnRemoval=false"
      "RemainAfterExit=true"
      "Type=oneshot"
      "Before=convoy-agent.service shutdown.target"
      "Conflicts=shutdown.target"
      "DefaultDependencies=false"
      "IgnoreOnIsolate=true"
    ];
    "agent and helper find nix and systemctl" = {
      ok =
        builtins.all (name: hasInfix "-nix-" (unit host name) && hasInfix "-systemd-" (unit host name))
          [
            "convoy-agent.service"
            "convoy-activator@.service"
            "convoy-boot-guard.service"
          ];
      found = "";
    };
    "the agent's user is a system user with a group" =
      equal
        [
          true
          "convoy-agent"
        ]
        [
          host.users.users.convoy-agent.isSystemUser
          host.users.users.convoy-agent.group
        ];
    "the closure ships what agent and helper read" = equal [
      "convoy/activator.json"
      "convoy/agent.json"
      "convoy/health-checks.json"
      "convoy/trust.json"
    ] (etc host);
    "the closure ships both programs" = {
      ok =
        builtins.all (name: builtins.elem name (map (one: one.name or "") host.environment.systemPackages))
          [
            "convoy-agent"
            "convoy-activator"
          ];
      found = "";
    };
    "the settings are checked by the program when the system is built" = {
      ok = hasInfix "convoy-agent check-config --config" (settingsOf goodAgent "agent.json").buildCommand;
      found = (settingsOf goodAgent "agent.json").buildCommand;
    };
    "the hook can neither fail nor delay an activation" = {
      ok = builtins.any (
        line:
        hasInfix "/timeout 2 " line
        && hasInfix "convoy-agent hook --closure" line
        && hasSuffix "|| true" line
      ) (splitString "\n" host.system.activationScripts.script);
      found = host.system.activationScripts.script;
    };
    "the pre-switch check never refuses" = {
      ok = hasInfix "pre-switch-check \"\${1-}\" \"\${2-}\" || true" host.system.preSwitchChecks.convoy;
      found = host.system.preSwitchChecks.convoy;
    };

    "the control plane is hardened and restarts in one step" = lines server "convoy-cp.service" (
      hardened
      ++ [
        "User=convoy-cp"
        "Type=notify"
        "X-StopIfChanged=false"
        "WatchdogSec=120"
        "StateDirectory=convoy-cp"
      ]
    );
    "the control plane gets its secrets from systemd" = lines server "convoy-cp.service" [
      "LoadCredential=tlsCertificate:/var/lib/convoy/server.pem"
      "LoadCredential=tlsKey:/var/lib/convoy/server.key"
    ];
    "a new certificate restarts the control plane" = lines server "convoy-cp-secrets.path" [
      "PathChanged=/var/lib/convoy/server.key"
      "PathChanged=/var/lib/convoy/server.pem"
    ];
    "the firewall is opened where it was asked for" = {
      ok = builtins.elem 7600 server.networking.firewall.allowedTCPPorts;
      found = server.networking.firewall.allowedTCPPorts;
    };
    "the firewall stays closed otherwise" = {
      ok =
        !builtins.elem 7600
          (nixos.system [
            controlPlane
            trust
          ]).config.networking.firewall.allowedTCPPorts;
      found = "";
    };
    "the control plane's settings are checked with the trust file" = {
      ok =
        builtins.match ".*convoy-cp check-config --config .* --trust .*" (
          builtins.replaceStrings [ "\n" ] [ " " ]
            (settingsOf goodControlPlane "control-plane.json").buildCommand
        ) != null;
      found = (settingsOf goodControlPlane "control-plane.json").buildCommand;
    };

    "an agent without settings says what to write" =
      says
        [
          "services.convoy.trust.keys is empty"
          "services.convoy.agent.settings.controlPlane is not set. Write its address"
          "services.convoy.agent.settings.ca is not set"
        ]
        [ agent ];
    "plain HTTP over a network is refused" =
      says
        [
          "plain HTTP is possible on loopback only. Write an https:// address"
        ]
        [
          goodAgent
          { services.convoy.agent.settings.controlPlane = nixos.lib.mkForce "http://cp:7600"; }
        ];
    "plain HTTP on loopback needs no authority" =
      says
        [ ]
        [
          agent
          trust
          { services.convoy.agent.settings.controlPlane = "http://127.0.0.1:7600"; }
        ];
    "a certificate needs its key, and no token" =
      says
        [
          "settings.certificate and services.convoy.agent.settings.key go together"
          "tokenFile is for hosts that enroll"
        ]
        [
          goodAgent
          { services.convoy.agent.settings.certificate = "/var/lib/pki/agent.pem"; }
        ];
    "a token in the store is refused" =
      says
        [ "must not be in the Nix store" ]
        [
          goodAgent
          { services.convoy.agent.tokenFile = nixos.lib.mkForce "/nix/store/x-token"; }
        ];
    "settings that have options of their own are refused" =
      says
        [
          "Use services.convoy.agent.host instead"
        ]
        [
          goodAgent
          { services.convoy.agent.settings.host = "web2"; }
        ];
    "an agent that Nix lets in or trusts too much is refused" =
      says
        [
          "nix.settings.allowed-users does not let convoy-agent use the Nix daemon"
          "nix.settings.trusted-users contains convoy-agent"
        ]
        [
          goodAgent
          {
            nix.settings.allowed-users = nixos.lib.mkForce [ "@wheel" ];
            nix.settings.trusted-users = nixos.lib.mkForce [ "*" ];
          }
        ];
    "a system that can't be switched is refused" =
      says
        [ "system.switch.enable is false" ]
        [
          goodAgent
          { system.switch.enable = false; }
        ];
    "every mistake of a health check is an assertion with its path" =
      says
        [
          "services.convoy.agent.healthChecks.a.url: is missing"
          "services.convoy.agent.healthChecks.b.unit: \"b\" is not a unit's full name"
        ]
        [
          goodAgent
          {
            services.convoy.agent.healthChecks = {
              a.kind = "http";
              b = {
                kind = "unit";
                unit = "b";
              };
            };
          }
        ];
    "a control plane on the network needs TLS" =
      says
        [
          "without TLS only loopback is possible. Run `convoy init`"
        ]
        [
          controlPlane
          trust
          { services.convoy.controlPlane.settings.listen = "0.0.0.0:7600"; }
        ];
    "TLS needs its three files, an issuer its two" =
      says
        [
          "tls.certificateFile, tls.keyFile and settings.clientAuthorities go together"
          "issuer.certificateFile and issuer.keyFile go together"
          "hosts can enroll over TLS only"
        ]
        [
          controlPlane
          trust
          {
            services.convoy.controlPlane.tls.keyFile = "/var/lib/convoy/server.key";
            services.convoy.controlPlane.issuer.keyFile = "/var/lib/convoy/ca.key";
          }
        ];
    "keys in the store are refused" =
      says
        [ "the files of tlsKey are in the Nix store" ]
        [
          goodControlPlane
          { services.convoy.controlPlane.tls.keyFile = nixos.lib.mkForce "/nix/store/x-key"; }
        ];
    "a firewall that is opened for nobody is refused" =
      says
        [
          "openFirewall is set, but 127.0.0.1:7600 can be reached from this machine only"
        ]
        [
          controlPlane
          trust
          { services.convoy.controlPlane.openFirewall = true; }
        ];
    "a threshold that can't be reached is refused" =
      says
        [
          "services.convoy.trust.threshold is 2, but there are 1 keys"
        ]
        [
          goodAgent
          { services.convoy.trust.threshold = 2; }
        ];
    "an address without a port is refused" =
      says
        [
          "settings.listen is localhost. Write an address and a port"
          "without TLS only loopback is possible"
        ]
        [
          controlPlane
          trust
          { services.convoy.controlPlane.settings.listen = "localhost"; }
        ];
    "trust that believes nobody, or two files, is refused" =
      says
        [
          "keys and file are both set"
          "services.convoy.trust.keys.other: is not a public key"
        ]
        [
          goodAgent
          {
            services.convoy.trust.keys.other = "abc";
            services.convoy.trust.file = ../../Cargo.toml;
          }
        ];
  };
in
{
  # Claims that do not hold, with what was found; and how many there are.
  failures = mapAttrs (_: claim: claim.found) (filterAttrs (_: claim: !claim.ok) claims);
  count = builtins.length (attrNames claims);

  # For `systemd-analyze`: the units of a machine that is both.
  units = units both;

  # What its programs read.
  settings = {
    "agent.json" = both.environment.etc."convoy/agent.json".source.settings;
    "activator.json" = both.environment.etc."convoy/activator.json".source.settings;
    "control-plane.json" = both.environment.etc."convoy/control-plane.json".source.settings;
  };
}
