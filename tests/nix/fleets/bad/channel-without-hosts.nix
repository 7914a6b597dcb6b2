# A channel that nobody follows, and a policy that nobody uses.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1" // {
    channel = "stable";
  };
  channels = {
    stable.policy = "default";
    beta.policy = "default";
  };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
  policies.spare.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
