// Reads a receipt's QR code where the browser has no BarcodeDetector (iPhones, many desktops). It knows only what our
// receipts show: a registration number in the smallest code (version 1, 21 x 21 modules). All else: nothing.

import { numberOf, range } from "./staff-qr-code.js";

const BLACKER = 0.93; // than around: plain paper must not become specks
const SHARPEN = 2; // found by trying: reads through a blur of half a module
const FAINT = 8; // of 255: less contrast is no code

/** The registration number in a picture (ImageData), or null. */
export function read({ data, width, height }) {
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i + 1]; // green is near enough
  const mean = means(grey, width, height);
  for (const soft of [0, 1]) { // pixels by themselves, for small codes; then with neighbours, for noisy cameras
    const dark = darker(grey, mean, width, height, soft);
    for (const corners of combined(finders(dark, width))) {
      const light = fitted({ grey, width, height }, corners);
      const number = light && numberOf(modules(light));
      if (number) return number;
    }
  }
  return null;
}

// Light may be uneven: dark is what is darker than around it.
function means(grey, width, height) {
  const wide = width + 1;
  const sums = new Uint32Array(wide * (height + 1)); // of all above and to the left: a box takes four
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0, row = 0, j = (y + 1) * wide + 1; x < width; x++, j++) sums[j] = sums[j - wide] + (row += grey[i++]);
  }
  return (x, y, r) => {
    const left = Math.max(0, x - r), right = Math.min(width, x + r + 1);
    const top = Math.max(0, y - r), end = Math.min(height, y + r + 1);
    const to = (row) => sums[row * wide + right] - sums[row * wide + left];
    return (to(end) - to(top)) / (right - left) / (end - top);
  };
}
function darker(grey, mean, width, height, soft) {
  const dark = new Uint8Array(grey.length), around = Math.max(width, height) >> 4;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) dark[i] = (soft ? mean(x, y, 1) : grey[i]) < mean(x, y, around) * BLACKER ? 1 : 0;
  }
  return dark;
}

// Finder patterns: any line through the middle of one, however it is turned, crosses 1:1:3:1:1 dark and light.
function arm(dark, i, step) { // outwards: the lengths of dark, light, dark
  const runs = [0, 0, 0];
  for (let run = 0; i >= 0 && i < dark.length; i += step) {
    if (dark[i] === run % 2 && ++run > 2) break;
    runs[run] += 1;
  }
  return runs;
}
function cross(dark, i, step) {
  const [a, b, c] = arm(dark, i, -step), [d, e, f] = arm(dark, i, step);
  const runs = [c, b, a + d - 1, e, f], one = (a + b + c + d + e + f - 1) / 7; // one: the length of a module
  const good = runs.every((run, k) => (k === 2 ? Math.abs(run - 3 * one) <= one : Math.abs(run - one) <= 0.75 * one));
  return good ? { middle: (d + e + f - a - b - c + 1) / 2, one } : null;
}
function finders(dark, width) {
  const found = [];
  const look = (x, y) => {
    const down = cross(dark, y * width + x, 1) && cross(dark, y * width + x, width);
    const along = down && cross(dark, Math.floor(y + down.middle) * width + x, 1);
    if (!along) return;
    const it = { x: x + along.middle, y: y + down.middle, one: (along.one + down.one) / 2, seen: 1 };
    const same = found.find((old) => Math.hypot(old.x - it.x, old.y - it.y) < 2 * old.one);
    if (!same) return void found.push(it);
    same.seen += 1;
    for (const key of ["x", "y", "one"]) same[key] += (it[key] - same[key]) / same.seen;
  };
  for (let i = 0, start = 0; i < dark.length; i++) {
    if (dark[i] && !dark[i - 1]) start = i;
    if (dark[i] && !dark[i + 1]) look(((start + i) >> 1) % width, Math.floor(i / width));
  }
  return found.filter((it) => 2 * it.seen > it.one).sort((p, q) => q.seen - p.seen).slice(0, 12);
}
/** What may be [top left, top right, bottom left] of one code, the likeliest first. */
function combined(found) {
  const all = [], off = (a, b) => Math.abs(Math.log(a / b));
  for (const p of found) for (const q of found) for (const r of found) {
    const u = Math.hypot(q.x - p.x, q.y - p.y), v = Math.hypot(r.x - p.x, r.y - p.y);
    const turn = (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
    if (!turn || turn < 0.7 * u * v) continue; // about a right angle, and not in a mirror
    const odd = off(u, v) + off(u, 12 * q.one) + off(v, 12 * r.one) + off(p.one, q.one) + off(p.one, r.one);
    if (odd < 2) all.push({ odd, corners: [p, q, r] });
  }
  return all.sort((a, b) => a.odd - b.odd).slice(0, 5).map((it) => it.corners);
}

// Where the modules are: [x, y of the finders' middles, g, h], g and h being how much smaller the code gets to its right
// and its bottom, held at an angle. Right is where the finders and the timing pattern, alike in every code, fit best.
const KNOWN = []; // [x, y, weight], near the corners of modules, where being a bit off shows
const LIGHT = 1 / 592, DARK = -1 / 420; // as many as there are: the sum is the contrast
function know(x, y, light) {
  for (const i of [-0.38, 0.38]) for (const j of [-0.38, 0.38]) KNOWN.push([x + i, y + j, light ? LIGHT : DARK]);
}
for (const i of range(81)) {
  const x = (i % 9) - 1, y = Math.floor(i / 9) - 1, ring = Math.max(Math.abs(x - 3), Math.abs(y - 3));
  for (const [right, down] of [[0, 0], [14, 0], [0, 14]]) know(x + right, y + down, ring && ring % 2 === 0);
}
for (const i of [8, 9, 10, 11, 12]) for (const [x, y] of [[i, 6], [6, i]]) know(x, y, i % 2);

function lightAt({ grey, width, height }, [x0, y0, x1, y1, x2, y2, g, h]) { // between four pixels
  const ax = (1 + g) * x1 - x0, bx = (1 + h) * x2 - x0, ay = (1 + g) * y1 - y0, by = (1 + h) * y2 - y0;
  return (column, row) => {
    const u = (column - 3) / 14, v = (row - 3) / 14, far = 1 + g * u + h * v;
    const x = (x0 + ax * u + bx * v) / far - 0.5, y = (y0 + ay * u + by * v) / far - 0.5;
    const left = Math.floor(x), top = Math.floor(y), i = top * width + left, r = x - left, s = y - top;
    if (!(left >= 0 && top >= 0 && left < width - 1 && top < height - 1)) return 128; // outside
    return (grey[i] * (1 - r) + grey[i + 1] * r) * (1 - s) + (grey[i + width] * (1 - r) + grey[i + width + 1] * r) * s;
  };
}
function fitted(picture, corners) {
  let best, light, most = -Infinity;
  const take = (place) => {
    const here = lightAt(picture, place);
    const score = KNOWN.reduce((sum, [x, y, weight]) => sum + weight * here(x, y), 0);
    if (score > most) [best, light, most] = [place, here, score];
  };
  const middles = corners.flatMap(({ x, y }) => [x, y]);
  for (const g of [0, -0.2, -0.1, 0.1, 0.2]) for (const h of [0, -0.2, -0.1, 0.1, 0.2]) take([...middles, g, h]);
  if (most < FAINT) return null;
  for (let step = 1; step > 0.05; step *= 0.6) {
    for (const i of [6, 7, 0, 1, 2, 3, 4, 5, 6, 7]) {
      const by = step * (i < 6 ? corners[i >> 1].one / 2 : 0.05);
      for (const way of [-by, by]) take(best.map((it, k) => (k === i ? it + way : it)));
    }
  }
  return light;
}

/** The 21 rows of the code's modules, 1 where dark. */
function modules(point) {
  const raw = range(23 * 23).map((i) => { // nine points of each module, and of those around
    const x = (i % 23) - 1, y = Math.floor(i / 23) - 1;
    let sum = 0;
    for (const j of [-0.25, 0, 0.25]) for (const k of [-0.25, 0, 0.25]) sum += point(x + j, y + k);
    return sum / 9;
  });
  const light = (x, y) => { // without what blur brought from the neighbours
    const i = (y + 1) * 23 + x + 1;
    return raw[i] + SHARPEN * (raw[i] - (raw[i - 1] + raw[i + 1] + raw[i - 23] + raw[i + 23]) / 4);
  };
  const half = (x, y) => { // between dark and light: with its edge a finder has 33 dark, 48 light, blurred or not
    const all = range(81).reduce((sum, i) => sum + raw[(y - 3 + Math.floor(i / 9)) * 23 + x - 3 + (i % 9)], 0);
    const black = raw[(y + 1) * 23 + x + 1];
    return black / 2 + (all - 33 * black) / 96;
  };
  const [p, q, r] = [half(3, 3), half(17, 3), half(3, 17)];
  return range(21).map((y) => range(21).map((x) => +(light(x, y) < p + ((q - p) * (x - 3) + (r - p) * (y - 3)) / 14)));
}
