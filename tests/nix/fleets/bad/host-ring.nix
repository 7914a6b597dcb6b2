# Hosts that wait for each other, and one for itself.
{ built, ... }:
{
  ref = "1";
  hosts = {
    a = built "a" // {
      after = [ "b" ];
    };
    b = built "b" // {
      after = [ "c" ];
    };
    c = built "c" // {
      after = [ "a" ];
    };
    d = built "d" // {
      after = [ "d" ];
    };
  };
  channels.stable = { };
  policies.default.waves = [
    {
      name = "all";
      select.all = true;
    }
  ];
}
