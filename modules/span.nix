# Spans of time as `convoy` reads them: `90s`, `30m`, `12h` or `14d`, also `1h30m`; `500ms` alone.
{ lib }:
let
  milliseconds = {
    s = 1000;
    m = 60 * 1000;
    h = 60 * 60 * 1000;
    d = 24 * 60 * 60 * 1000;
  };

  # Nine digits of days still fit into 64 bits of milliseconds.
  number = "[0-9]{1,9}";

  sum =
    text:
    let
      parts = builtins.filter builtins.isList (builtins.split "([0-9]+)([smhd])" text);
      value = part: lib.toIntBase10 (builtins.elemAt part 0) * milliseconds.${builtins.elemAt part 1};
    in
    builtins.foldl' (total: part: total + value part) 0 parts;
in
rec {
  # Whole milliseconds, or null where the text is no span.
  toMillis =
    text:
    let
      short = builtins.match "(${number})ms" text;
    in
    if short != null then
      lib.toIntBase10 (builtins.head short)
    else if builtins.match "(${number}[smhd])+" text != null then
      sum text
    else
      null;

  # What is wrong with a span that has to lie between two others (texts as well), as a list of at most one mistake.
  mistakes =
    path: text: least: most:
    let
      millis = toMillis text;
    in
    if millis == null then
      [ "${path}: ${builtins.toJSON text} is not a span of time: write it as 90s, 30m, 12h or 14d" ]
    else
      lib.optional (
        millis < toMillis least || millis > toMillis most
      ) "${path}: ${text} is not within ${least} to ${most}";
}
