# All hosts once more after the canary.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1" // {
      tags = [ "canary" ];
    };
    web2 = built "web2";
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "canary";
      select.tags = [ "canary" ];
    }
    {
      name = "rest";
      select.all = true;
    }
  ];
}
