// How a district stands by the city's timetable: what the next stroke of the clock brings needs no answer of the server.

const DAY_MS = 86_400_000;
const formats = {};
/** What a clock on the wall shows in a time zone: {date, time}. */
export function wall(ms, timeZone) {
  const shape = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const format = formats[timeZone] = formats[timeZone] ?? new Intl.DateTimeFormat("en-US", { timeZone, ...shape });
  const it = {};
  for (const { type, value } of format.formatToParts(ms)) it[type] = value;
  return { date: `${it.year}-${it.month}-${it.day}`, time: `${it.hour}:${it.minute}:${it.second}` };
}
function ahead_ms(ms, timeZone) {
  const { date, time } = wall(ms, timeZone);
  return Date.parse(`${date}T${time}Z`) - Math.floor(ms / 1000) * 1000;
}
const instants = {};
/** When that clock shows a time: the first of two; where it jumps over that time, as if it had not jumped yet. */
export function instant(date, time, timeZone) {
  const key = `${date} ${time} ${timeZone}`;
  if (instants[key] === undefined) {
    const ms = Date.parse(`${date}T${time.length === 5 ? `${time}:00` : time}Z`);
    const either = [ms - DAY_MS, ms + DAY_MS].map((near) => ms - ahead_ms(near, timeZone));
    instants[key] = either.find((it) => it + ahead_ms(it, timeZone) === ms) ?? either[0];
  }
  return instants[key];
}
export const plusDays = (date, days) => new Date(Date.parse(`${date}T12:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

export const windowsOf = (district) => district.windows ?? (district.window ? [district.window] : []);
/** The openings of today and tomorrow, in order, in ms: as the server has told them, the others by the hours of the day. */
function openings({ timezone }, district, now) {
  const told = [[Date.parse(district.opens_at), Date.parse(district.closes_at)]].filter(([opens, closes]) => opens < closes);
  const { date } = wall(now, timezone);
  const daily = [date, plusDays(date, 1)].flatMap((day) =>
    windowsOf(district).map(({ opens, closes }) => [instant(day, opens, timezone), instant(day, closes, timezone)]));
  const others = daily.filter(([opens, closes]) => !told.some(([from, to]) => opens < to && from < closes));
  return [...told, ...others].sort(([a], [b]) => a - b);
}
export function isOpenHours({ open_hours: { opens, closes }, timezone }, now) {
  const { time } = wall(now, timezone);
  return opens <= time && time < closes;
}
/** {state, opens, closes, next}: the contract's state, the running opening, and when the next one begins; in ms. */
export function timetable(city, district, now, draw_seconds = city.draw_seconds ?? 0) {
  const all = openings(city, district, now);
  const [opens, closes] = all.find(([from, to]) => from <= now && now < to) ?? [];
  const [next] = all.find(([from]) => from > now) ?? [];
  if (!all.length) return { state: "unassigned" };
  if (opens) {
    const paused = district.state === "paused" && Date.parse(district.opens_at) === opens; // only the server knows
    return { state: paused ? "paused" : now < opens + draw_seconds * 1000 ? "draw" : "open", opens, closes, next };
  }
  if (!isOpenHours(city, now)) return { state: "maintenance", next };
  const today = next && wall(next, city.timezone).date === wall(now, city.timezone).date;
  return { state: today ? "closed" : "ended", next };
}
/** When anything of the timetable changes next: an opening, its draw, the open hours, the day. */
export function nextStroke(city, districts, now, draw_seconds = city.draw_seconds ?? 0) {
  const { date } = wall(now, city.timezone);
  const hours = [date, plusDays(date, 1)].flatMap((day) =>
    ["00:00", city.open_hours.opens, city.open_hours.closes].map((time) => instant(day, time, city.timezone)));
  const others = districts.flatMap((it) => openings(city, it, now)).flatMap(([opens, closes]) => [opens, opens + draw_seconds * 1000, closes]);
  return Math.min(...[...hours, ...others].filter((ms) => ms > now));
}
