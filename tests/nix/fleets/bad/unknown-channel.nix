# A host follows a channel, and a channel waits for one, that is not there.
{ built, ... }:
{
  ref = "1";
  hosts.web1 = built "web1" // {
    channel = "stabel";
  };
  channels.stable.after = [ "base" ];
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
