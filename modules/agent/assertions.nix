# What must hold for the agent to do its work; each text says what to write instead.
{
  config,
  lib,
  cfg,
  user,
}:
let
  probes = import ../probes.nix { inherit lib; };
  at = "services.convoy.agent";

  url = toString cfg.settings.controlPlane;
  loopback = builtins.match "http://(localhost|127\\.[0-9.]+|\\[::1])(:[0-9]+)?/?" url != null;
  inStore = path: path != null && lib.hasPrefix builtins.storeDir path;

  nix = config.nix.settings;
  allowed = nix.allowed-users or [ "*" ];
  trusted = nix.trusted-users or [ "root" ];
  named = list: lib.elem user list || lib.elem "@${user}" list || lib.elem "*" list;

  reserved = lib.intersectLists [ "host" "tokenFile" ] (lib.attrNames cfg.settings);
in
[
  {
    assertion = cfg.settings.controlPlane != null;
    message = "${at}.settings.controlPlane is not set. Write its address, such as \"https://cp.example.org:7600\".";
  }
  {
    assertion = cfg.settings.controlPlane == null || lib.hasPrefix "https://" url || loopback;
    message = ''
      ${at}.settings.controlPlane is ${url}: plain HTTP is possible on loopback only. Write an https:// address, and set
      ${at}.settings.ca to the ca.pem that `convoy init` wrote.'';
  }
  {
    assertion = loopback || cfg.settings.ca != null;
    message = ''
      ${at}.settings.ca is not set, so the control plane's certificate can't be checked. Set it to the ca.pem that
      `convoy init` wrote, such as ./fleet/ca.pem.'';
  }
  {
    assertion = (cfg.settings.certificate == null) == (cfg.settings.key == null);
    message = "${at}.settings.certificate and ${at}.settings.key go together. Set both, or neither and ${at}.tokenFile.";
  }
  {
    assertion = cfg.settings.certificate == null || cfg.tokenFile == null;
    message = ''
      ${at}.tokenFile is for hosts that enroll, and ${at}.settings.certificate for those that get their certificate
      elsewhere. Remove one of them.'';
  }
  {
    assertion = !inStore cfg.tokenFile && !inStore cfg.settings.key;
    message = ''
      ${at}.tokenFile and ${at}.settings.key must not be in the Nix store, which everybody can read. Write a path such as
      "/var/lib/secrets/convoy-token", and put the file there by your own means.'';
  }
  {
    assertion = (config.boot.loader.systemd-boot.xbootldrMountPoint or null) == null;
    message = ''
      boot.loader.systemd-boot.xbootldrMountPoint is set: Convoy reads loader.conf and the entries from one partition, so that
      it could not read this host's boot default. Keep both on boot.loader.efi.efiSysMountPoint.'';
  }
  {
    assertion = reserved == [ ];
    message = "${at}.settings.${lib.concatStringsSep ", " reserved}: is set by the option next to settings. Use ${
      lib.concatMapStringsSep ", " (name: "${at}.${name}") reserved
    } instead.";
  }
  {
    assertion = named allowed;
    message = ''nix.settings.allowed-users does not let ${user} use the Nix daemon, so it can't fetch closures. Add "${user}" to it.'';
  }
  {
    assertion = !named trusted;
    message = ''
      nix.settings.trusted-users contains ${user} (or "*"), which would let it bring in any store path unsigned. Remove
      it; the agent needs no more than nix.settings.allowed-users.'';
  }
  {
    assertion = config.system.switch.enable or true;
    message = "system.switch.enable is false, so no release could be activated. Set it to true.";
  }
]
++ map (mistake: {
  assertion = false;
  message = mistake;
}) (probes.mistakes "${at}.healthChecks" cfg.healthChecks)
