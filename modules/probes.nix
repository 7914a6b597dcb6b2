# Health probes as typed options, and as the `health-checks.json` that the agent reads from the closure it runs in.
{ lib }:
let
  inherit (lib) mkOption types;

  span = import ./span.nix { inherit lib; };

  # Which fields a kind has: those it cannot do without, and those it may leave out.
  fields = {
    http = {
      needed.url = "http://127.0.0.1:8080/healthz";
      more = [
        "expectStatus"
        "bodyContains"
      ];
    };
    tcp = {
      needed.address = "127.0.0.1:22";
      more = [ ];
    };
    unit = {
      needed.unit = "postgresql.service";
      more = [ ];
    };
    exec = {
      needed.program = "/run/current-system/sw/bin/check-queue";
      more = [ "args" ];
    };
    reach = {
      needed.addresses = [ "10.0.0.1:443" ];
      more = [ ];
    };
  };

  # Every field that some kinds have and others have not.
  special = lib.unique (
    lib.concatMap (kind: lib.attrNames kind.needed ++ kind.more) (lib.attrValues fields)
  );

  maxProbes = 64;
  maxList = 64;
  maxText = 4096;

  optional =
    type: description: example:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description example;
    };

  probe = types.submodule {
    options = {
      kind = mkOption {
        type = types.enum (lib.attrNames fields);
        example = "http";
        description = ''
          What the probe looks at: `http` an address that answers, `tcp` a port that takes connections, `unit` a
          systemd unit that is active, `exec` a program that exits with 0, `reach` addresses of which one takes a
          connection.
        '';
      };
      mode = mkOption {
        type = types.enum [
          "enforce"
          "observe"
          "disabled"
        ];
        default = "enforce";
        description = ''
          Whether a failure brings the host back (`enforce`), is only shown (`observe`), or the probe is not run at
          all (`disabled`: takes away one that a wider scope declares).
        '';
      };
      interval = mkOption {
        type = types.str;
        default = "10s";
        example = "1m";
        description = "From the end of one check to the start of the next: 20ms to 1d.";
      };
      timeout = mkOption {
        type = types.str;
        default = "5s";
        example = "30s";
        description = "After this long a check has failed: 20ms to 10m.";
      };
      url = optional types.str "For `http`, needed: where to ask." "http://127.0.0.1:8080/healthz";
      expectStatus = optional (types.listOf types.int) ''
        For `http`: the statuses that pass. Unset, any 2xx does. Redirects are answers and not followed.
      '' [ 204 ];
      bodyContains = optional types.str ''
        For `http`: a text that the first 64 KiB of the body must contain.
      '' "ok";
      address = optional types.str "For `tcp`, needed: `HOST:PORT`." "127.0.0.1:22";
      unit = optional types.str "For `unit`, needed: the unit's full name." "postgresql.service";
      program = optional types.str ''
        For `exec`, needed: the absolute path of the program. It runs as the agent's user, in the agent's sandbox.
      '' "/run/current-system/sw/bin/check-queue";
      args = optional (types.listOf types.str) "For `exec`: its arguments." [
        "--max"
        "10"
      ];
      addresses = optional (types.listOf types.str) "For `reach`, needed: a list of `HOST:PORT`." [
        "10.0.0.1:443"
        "10.0.0.2:443"
      ];
    };
  };

  isAddress =
    text:
    let
      parts = builtins.match "(.+):([0-9]{1,5})" text;
      port = lib.toIntBase10 (builtins.elemAt parts 1);
    in
    parts != null && port >= 1 && port <= 65535 && builtins.stringLength text <= 300;

  addressMistakes =
    path: text: lib.optional (!isAddress text) "${path}: ${builtins.toJSON text} is not HOST:PORT";

  # The rules of one field that is there.
  ofField = {
    url =
      path: url:
      lib.optional (
        builtins.match "https?://[^[:space:]]+" url == null || builtins.stringLength url > maxText
      ) "${path}: ${builtins.toJSON url} is not an http:// or https:// address";
    expectStatus =
      path: statuses:
      lib.optional (lib.length statuses > maxList) "${path}: has more than ${toString maxList} entries"
      ++ lib.concatMap (
        status:
        lib.optional (
          status < 100 || status >= 600
        ) "${path}: ${toString status} is not an HTTP status: 100 to 599"
      ) statuses;
    bodyContains =
      path: text:
      lib.optional (
        builtins.stringLength text > maxText
      ) "${path}: is longer than ${toString maxText} bytes";
    address = addressMistakes;
    unit =
      path: unit:
      lib.optional (
        !lib.hasInfix "." unit || lib.hasPrefix "-" unit || builtins.stringLength unit >= 256
      ) "${path}: ${builtins.toJSON unit} is not a unit's full name, such as nginx.service";
    program =
      path: program:
      lib.optional (
        !lib.hasPrefix "/" program || builtins.stringLength program > maxText
      ) "${path}: ${builtins.toJSON program} is not an absolute path";
    args =
      path: args:
      lib.optional (lib.length args > maxList || lib.any (arg: builtins.stringLength arg > maxText) args)
        "${path}: has more than ${toString maxList} entries, or one longer than ${toString maxText} bytes";
    addresses =
      path: addresses:
      lib.optional (
        addresses == [ ] || lib.length addresses > maxList
      ) "${path}: must name 1 to ${toString maxList} addresses"
      ++ lib.concatMap (addressMistakes path) addresses;
  };

  ofProbe =
    path: probe:
    let
      own = fields.${probe.kind};
      allowed = lib.attrNames own.needed ++ own.more;
      given = lib.filter (field: probe.${field} != null) special;
      absent = field: probe.${field} == null;
      say = example: builtins.toJSON example;
    in
    map (
      field:
      "${path}.${field}: is missing: every ${probe.kind} probe needs it, such as ${say own.needed.${field}}"
    ) (lib.filter absent (lib.attrNames own.needed))
    ++ map (field: "${path}.${field}: is not a field of ${probe.kind} probes: remove it") (
      lib.subtractLists allowed given
    )
    ++ lib.concatMap (field: ofField.${field} "${path}.${field}" probe.${field}) (
      lib.intersectLists allowed given
    )
    ++ span.mistakes "${path}.interval" probe.interval "20ms" "1d"
    ++ span.mistakes "${path}.timeout" probe.timeout "20ms" "10m";
in
{
  inherit maxProbes;

  # The option: probes by name.
  option =
    description:
    mkOption {
      type = types.attrsOf probe;
      default = { };
      example = lib.literalExpression ''
        {
          web = {
            kind = "http";
            url = "http://127.0.0.1:8080/healthz";
          };
        }
      '';
      inherit description;
    };

  # Every mistake in probes by name, each with its path.
  mistakes =
    path: probes:
    lib.concatLists (
      lib.mapAttrsToList (
        name: probe:
        lib.optional (builtins.match "[A-Za-z0-9][A-Za-z0-9._-]{0,63}" name == null)
          "${path}.${builtins.toJSON name}: a probe's name is 1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit"
        ++ ofProbe "${path}.${name}" probe
      ) probes
    )
    ++
      lib.optional (lib.length (lib.attrNames probes) > maxProbes)
        "${path}: ${toString (lib.length (lib.attrNames probes))} probes are more than the ${toString maxProbes} that are run";

  # A probe as it was written, so that it can be given to another module.
  written = lib.filterAttrs (_: value: value != null);

  # `health-checks.json` as a Nix value.
  render = probes: {
    version = 1;
    probes = lib.mapAttrsToList (
      name: probe:
      lib.filterAttrs (_: value: value != null) (
        {
          inherit name;
          inherit (probe) kind mode;
          intervalMs = span.toMillis probe.interval;
          timeoutMs = span.toMillis probe.timeout;
        }
        // lib.getAttrs special probe
      )
    ) probes;
  };
}
