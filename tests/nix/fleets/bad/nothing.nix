# An empty fleet.
{ ... }:
{
  ref = "1";
}
