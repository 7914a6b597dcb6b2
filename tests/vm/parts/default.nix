# What the VM tests are made of: a control plane `cp`, hosts, their next systems, and the releases that name them.
{ pkgs }:
let
  inherit (pkgs) lib;

  mkFleet = import ../../../modules/fleet/mk-fleet.nix { inherit lib; };

  # The key that signs; made when the tests are built, since the hosts' systems have to know its public half.
  keys = pkgs.runCommand "convoy-test-keys" { } ''
    ${pkgs.convoy}/bin/convoy keygen ci --out $out --trust $out/trust.json
    ${pkgs.convoy}/bin/convoy keygen mallory --out $out
  '';

  common = {
    services.convoy.trust.file = "${keys}/trust.json";
    # Switching is what is tested, and test nodes leave it out.
    system.switch.enable = true;
    nix.settings.substituters = lib.mkForce [ ];
    documentation.enable = false;
    virtualisation = {
      memorySize = 1024;
      writableStore = true;
    };
  };

  controlPlane = {
    imports = [
      ../../../modules/control-plane.nix
      common
    ];
    environment.systemPackages = [
      pkgs.convoy
      pkgs.python3
    ];
    services.convoy.controlPlane = {
      enable = true;
      openFirewall = true;
      settings = {
        listen = "0.0.0.0:7600";
        clientAuthorities = "/var/lib/fleet/ca.pem";
        heartbeatIntervalMs = 5000;
      };
      tls = {
        certificateFile = "/var/lib/fleet/server.pem";
        keyFile = "/var/lib/fleet/server.key";
      };
      issuer = {
        certificateFile = "/var/lib/fleet/ca.pem";
        keyFile = "/var/lib/fleet/ca.key";
      };
      firstTokensFile = "/var/lib/fleet/first-tokens.json";
    };
  };

  # A host, with its next systems by name: `next`, for one, is what a release takes it to.
  host = systems: {
    imports = [
      ../../../modules/agent.nix
      common
    ];
    boot.loader = {
      grub.enable = false;
      systemd-boot.enable = true;
      timeout = 0;
    };
    virtualisation = {
      useBootLoader = true;
      useEFIBoot = true;
      diskSize = 8192;
    };
    services.convoy.agent = {
      enable = true;
      tokenFile = "/var/lib/fleet/token";
      settings = {
        controlPlane = "https://cp:7600";
        ca = "/var/lib/fleet/ca.pem";
      };
    };
    specialisation = lib.mapAttrs (_: configuration: { inherit configuration; }) systems;
  };

  # A change that harms nobody.
  harmless.environment.etc."convoy-test".text = "next";

  # The signed part of a release: `targets` gives each host's closure.
  manifest =
    ref: targets: policy:
    let
      fleet = mkFleet {
        inherit ref;
        channels.stable = { };
        hosts = lib.mapAttrs (_: closure: {
          closure = builtins.unsafeDiscardStringContext closure;
        }) targets;
        policies.default = {
          soak = "20s";
          failureAfter = "5s";
          agentTimeout = "1m";
          switchLimit = "3m";
          isolationLimit = "3m";
          waves = [
            {
              name = "all";
              select.all = true;
              reboot = "live";
            }
          ];
        }
        // policy;
      };
    in
    pkgs.writeText "release-${ref}.json" (builtins.toJSON fleet.manifests.stable);

  # The store path of one of a node's next systems.
  target = node: name: "${node.specialisation.${name}.configuration.system.build.toplevel}";
in
{
  inherit
    harmless
    keys
    lib
    manifest
    pkgs
    target
    ;

  # The nodes of a test: `cp`, and hosts by name with their next systems.
  nodes = hosts: lib.mapAttrs (_: host) hosts // { cp = controlPlane; };

  # A test's script, with what all of them need before it.
  script =
    nodes: text:
    let
      hosts = lib.filter (name: name != "cp") (lib.attrNames nodes);
    in
    ''
      hosts = {${lib.concatMapStringsSep ", " (name: "\"${name}\": ${name}") hosts}}
      keys = "${keys}"

    ''
    + builtins.readFile ./prelude.py
    + "\n"
    + text;
}
