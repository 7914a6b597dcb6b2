# Every rule of a policy differs from its default.
{ built, ... }:
{
  ref = "rules_1.2-3";
  again = true;
  hosts.web1 = built "web1" // {
    tags = [ "web" ];
  };
  channels.stable = { };
  policies.default = {
    soak = "7d";
    failureAfter = "1d";
    switchLimit = "6h";
    commitLimit = "1h";
    rollbackLimit = "100ms";
    rebootLimit = "05m";
    agentTimeout = "59m60s";
    isolationLimit = "1h";
    offlineGrace = "30d";
    stageLimit = "24h";
    onFailure = "keep";
    onSupersede = "revert";
    onHalt = "revert";
    onDrift = "reconcile";
    budgets.web = 1;
    waves = [
      {
        name = "all";
        select.all = true;
        maxInFlight = 4294967295;
        maxFailures = 1;
        wait = "30d";
        approval = true;
        reboot = "live";
      }
    ];
  };
}
