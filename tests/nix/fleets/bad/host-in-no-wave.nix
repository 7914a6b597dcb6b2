# The canary wave alone leaves hosts behind.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1" // {
      tags = [ "canary" ];
    };
    web2 = built "web2";
    web3 = built "web3";
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "canary";
      select.tags = [ "canary" ];
    }
  ];
}
