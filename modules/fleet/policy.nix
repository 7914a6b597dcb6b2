# Policies: waves, and the rules that all hosts of a release share.
{ lib }:
let
  inherit (lib) mkOption types;

  selector = import ./selector.nix { inherit lib; };

  span =
    default: limits: description:
    mkOption {
      type = types.str;
      inherit default;
      description = "${lib.removeSuffix "\n" description} Within ${limits}.";
    };

  choice =
    values: default: description:
    mkOption {
      type = types.enum values;
      inherit default description;
    };

  window = types.submodule {
    options = {
      days = mkOption {
        type = types.listOf types.str;
        example = [
          "mon"
          "thu"
        ];
        description = "The days on which it opens: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.";
      };
      from = mkOption {
        type = types.str;
        example = "22:00";
        description = "When it opens, `HH:MM` in UTC.";
      };
      minutes = mkOption {
        type = types.int;
        example = 240;
        description = "How many minutes it stays open, 1 to 1440; it may run past midnight.";
      };
    };
  };

  wave = types.submodule {
    options = {
      name = mkOption {
        type = types.str;
        example = "canary";
        description = "Shown to people; of its own within the policy.";
      };
      select = mkOption {
        type = selector.type;
        default = { };
        example = lib.literalExpression ''{ tags = [ "canary" ]; }'';
        description = ''
          Which hosts of the channel. All fields that are given must hold; every host of the channel must be in exactly
          one wave.
        '';
      };
      maxInFlight = mkOption {
        type = types.nullOr types.ints.u32;
        default = null;
        example = 2;
        description = "The most hosts of this wave in flight at once. Unset: all of them.";
      };
      minSuccess = mkOption {
        type = types.ints.u32;
        default = 1;
        description = "How many hosts whose closure changes must converge before the next wave.";
      };
      maxFailures = mkOption {
        type = types.ints.u32;
        default = 0;
        description = "How many hosts may fail; one more halts the rollout.";
      };
      wait = mkOption {
        type = types.str;
        default = "0s";
        example = "12h";
        description = "How long to wait after this wave before the next one. At most 30d.";
      };
      notBefore = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "2026-05-01T12:00:00Z";
        description = "No host of this wave starts before this date, in UTC. Unset: at once.";
      };
      windows = mkOption {
        type = types.nullOr (types.listOf window);
        default = null;
        example = lib.literalExpression ''[ { days = [ "tue" ]; from = "22:00"; minutes = 240; } ]'';
        description = "Hosts start and reboot only inside one of these. Unset: those of the policy.";
      };
      approval = mkOption {
        type = types.bool;
        default = false;
        description = "Whether an operator has to approve this wave (`convoy rollout promote --wave`).";
      };
      reboot = mkOption {
        type = types.nullOr (
          types.enum [
            "live"
            "trial"
          ]
        );
        default = null;
        example = "live";
        description = ''
          What to do where kernel, initrd or other boot components differ: activate and commit at once (`live`), or prove
          the boot first (`trial`). Unset: `trial` in the first wave, `live` in the others.
        '';
      };
    };
  };
in
{
  # The spans and what they must lie within.
  spans = {
    soak = "7d";
    failureAfter = "1d";
    switchLimit = "6h";
    commitLimit = "1h";
    rollbackLimit = "6h";
    rebootLimit = "6h";
    agentTimeout = "1h";
    isolationLimit = "7d";
    offlineGrace = "30d";
    stageLimit = "1d";
  };

  type = types.submodule {
    options = {
      waves = mkOption {
        type = types.listOf wave;
        default = [ ];
        example = lib.literalExpression ''[ { name = "all"; select.all = true; } ]'';
        description = "Who may start together, in order.";
      };
      windows = mkOption {
        type = types.listOf window;
        default = [ ];
        example = lib.literalExpression ''[ { days = [ "tue" ]; from = "22:00"; minutes = 240; } ]'';
        description = "The windows of every wave that has none of its own. Empty: always. They never stop a rollback.";
      };
      soak =
        span "5m" "100ms to 7d"
          "How long a host stays healthy on the new closure before it is committed.";
      failureAfter = span "60s" "100ms to 1d" ''
        How long an `enforce` probe may fail without a pass before the host is judged unhealthy.
      '';
      switchLimit = span "10m" "100ms to 6h" "The most time that a switch may take.";
      commitLimit = span "3m" "100ms to 1h, and not more than `isolationLimit`" ''
        The most time that a commit may take.
      '';
      rollbackLimit = span "10m" "100ms to 6h" ''
        The most time that one try to bring the prior closure back may take; then the host reboots into it.
      '';
      rebootLimit =
        span "10m" "100ms to 6h"
          "The most time that a reboot may take until the agent runs again.";
      agentTimeout = span "2m" "100ms to 1h" ''
        How long the dead-man waits for a sign of life of the agent before it brings the prior closure back.
      '';
      isolationLimit = span "30m" "100ms to 7d" ''
        How long a soaked host waits for a control plane that does not answer before it goes back.
      '';
      offlineGrace = span "15m" "100ms to 30d" ''
        How long a host may be silent before it is set aside or, past its limit, counted lost.
      '';
      stageLimit = span "1h" "100ms to 1d" "How long one try to fetch a closure may take.";
      onFailure = choice [ "revert" "keep" ] "revert" ''
        What a failed host does: go back by itself, or stay on the new closure, uncommitted, until a person decides (for
        upgrades whose data cannot go back).
      '';
      onSupersede = choice [ "finish" "revert" ] "finish" ''
        What hosts in flight do when a newer release arrives.
      '';
      onHalt = choice [ "finish" "revert" ] "finish" "What hosts in flight do when the rollout halts.";
      onDrift = choice [ "report" "hold" "reconcile" ] "report" ''
        What to do about a host that runs something else: say so, also start nothing on it, or bring it back to its
        channel's latest release.
      '';
      budgets = mkOption {
        type = types.attrsOf types.ints.u32;
        default = { };
        example = {
          web = 5;
        };
        description = ''
          By tag: the most hosts with it in flight at once, over all waves and channels. In a channel without hosts of the
          tag there is nothing to limit, and it is left out of that channel's releases.
        '';
      };
    };
  };
}
