# Names that the programs would refuse.
{ built, ... }:
{
  ref = "1@2";
  hosts."web 1" = built "web1" // {
    tags = [ "-x" ];
  };
  channels."sta/ble" = { };
  policies.default.waves = [
    {
      name = "the first";
      select.all = true;
    }
  ];
}
