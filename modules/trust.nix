# The keys that sign releases, shared by control plane and agent: `/etc/convoy/trust.json`.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  cfg = config.services.convoy.trust;
  keys = lib.attrNames cfg.keys;
  used =
    config.services.convoy.agent.enable or false || config.services.convoy.controlPlane.enable or false;

  isKey = text: builtins.match "[A-Za-z0-9+/]{43}=" text != null;
  wrong = lib.filter (name: !isKey cfg.keys.${name}) keys;
in
{
  options.services.convoy.trust = {
    keys = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        ci = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
      };
      description = ''
        The public keys that sign releases, by name, as `convoy keygen` prints them. To replace one, add the new key in
        one release and remove the old one in a later release.
      '';
    };
    threshold = mkOption {
      type = types.ints.positive;
      default = 1;
      description = "How many of the keys must have signed a release.";
    };
    file = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./fleet/trust.json";
      description = "A trust file as `convoy init` and `convoy keygen` write it, instead of `keys` and `threshold`.";
    };
    document = mkOption {
      type = types.path;
      internal = true;
      readOnly = true;
      description = "The trust file of the closure.";
    };
  };

  config = lib.mkIf used {
    services.convoy.trust.document =
      if cfg.file != null then
        cfg.file
      else
        (pkgs.formats.json { }).generate "trust.json" {
          version = 1;
          inherit (cfg) threshold keys;
        };

    environment.etc."convoy/trust.json".source = cfg.document;

    assertions = [
      {
        assertion = keys != [ ] || cfg.file != null;
        message = ''
          services.convoy.trust.keys is empty: no release could be believed. Make a key with
          `convoy keygen ci --out keys` and set services.convoy.trust.keys.ci, or set services.convoy.trust.file to the
          trust.json that `convoy init` wrote.'';
      }
      {
        assertion = keys == [ ] || cfg.file == null;
        message = "services.convoy.trust: keys and file are both set. Remove one of them.";
      }
      {
        assertion = wrong == [ ];
        message = ''
          services.convoy.trust.keys.${lib.concatStringsSep ", " wrong}: is not a public key: 44 characters of base 64, as
          in the trust file that `convoy keygen` writes.'';
      }
      {
        assertion = keys == [ ] || cfg.threshold <= lib.length keys;
        message = ''
          services.convoy.trust.threshold is ${toString cfg.threshold}, but there are ${toString (lib.length keys)} keys: no
          release could be believed. Lower it, or add keys.'';
      }
    ];
  };
}
