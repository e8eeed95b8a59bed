// Sites of a district, by how near they are to a place that somebody types.

const RADIANS = Math.PI / 180;
const onMap = (it) => it.latitude !== undefined && it.longitude !== undefined;
const plain = (text) => text.normalize("NFKC").toLowerCase().replace(/\s/g, "");
const says = (it) => plain([it.name_zh, it.name_en, it.address, it.way_in_zh, it.way_in_en].filter(Boolean).join("\n"));
// Within a city the earth is flat: in degrees of latitude.
function apart(a, b) {
  const east = (a.longitude - b.longitude) * Math.cos(((a.latitude + b.latitude) / 2) * RADIANS);
  return Math.hypot(east, a.latitude - b.latitude);
}
/**
 * The sites, those first whose name, address or way in has what was typed; where one of these is on the map, the others by
 * their distance from the first of them, and those that are on no map last.
 */
export function nearest(sites, typed) {
  const word = plain(typed);
  if (!word) return sites;
  const found = sites.filter((it) => says(it).includes(word));
  const others = sites.filter((it) => !found.includes(it));
  const from = found.find(onMap);
  if (!from) return [...found, ...others];
  const far = (it) => (onMap(it) ? apart(it, from) : Infinity);
  return [...found, ...others.map((it) => [far(it), it]).sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, it]) => it)];
}
