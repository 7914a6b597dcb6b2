# Thresholds that can't be reached.
{ built, ... }:
{
  ref = "1";
  hosts = {
    web1 = built "web1";
    web2 = built "web2";
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "first";
      select.hosts = [ "web1" ];
      minSuccess = 0;
      maxFailures = 2;
    }
    {
      name = "first";
      select.hosts = [ "web2" ];
      minSuccess = 2;
    }
  ];
}
