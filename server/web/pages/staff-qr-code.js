// What the modules of a QR code say (ISO/IEC 18004), for the one kind on our receipts: version 1, a registration number.

import { isRegistrationNo } from "./staff-number.js";

export const range = (n) => [...Array(n).keys()];

/** The registration number in 21 rows of 21 modules (1: dark), or null: a doubtful one is none. */
export function numberOf(bits) {
  const format = formatOf(bits);
  if (format < 0) return null;
  const [parity, most] = LEVELS[format >> 3];
  const words = corrected(wordsOf(bits, MASKS[format & 7]), parity, most);
  return words && numberIn(words.slice(0, -parity));
}

// Level and mask: five bits and ten of a BCH code, there twice; three wrong bits do not hide them.
const FORMATS = range(32).map((it) => {
  let rest = it << 10;
  for (const i of [4, 3, 2, 1, 0]) if ((rest >> (i + 10)) & 1) rest ^= 0x537 << i;
  return ((it << 10) | rest) ^ 0x5412;
});
function formatOf(bits) {
  const first = [0, 1, 2, 3, 4, 5, 7, 8].map((x) => bits[8][x]).concat([7, 5, 4, 3, 2, 1, 0].map((y) => bits[y][8]));
  const second = range(7).map((i) => bits[20 - i][8]).concat(bits[8].slice(13));
  const wrong = (copy, format) => copy.filter((bit, i) => bit !== ((format >> (14 - i)) & 1)).length;
  const off = FORMATS.map((it) => Math.min(wrong(first, it), wrong(second, it)));
  return off.findIndex((it) => it <= 3 && it === Math.min(...off));
}
const MASKS = [ // turned over where 0
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3, (x, y) => ((y >> 1) + Math.floor(x / 3)) % 2,
  (x, y) => (x * y) % 6, (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];
function wordsOf(bits, mask) { // by two columns from the right, up and down in turn, past the patterns
  const words = new Array(26).fill(0);
  let n = 0;
  [20, 18, 16, 14, 12, 10, 8, 5, 3, 1].forEach((right, pair) => {
    for (const i of range(42)) {
      const x = right - (i % 2), y = pair % 2 ? i >> 1 : 20 - (i >> 1);
      if (y === 6 || (x < 9 && (y < 9 || y > 12)) || (x > 12 && y < 9)) continue;
      words[n >> 3] = (words[n >> 3] << 1) | (bits[y][x] ^ (mask(x, y) ? 0 : 1));
      n += 1;
    }
  });
  return words;
}

// Reed-Solomon over GF(256): [words of parity, how many wrong words to put right] of levels M, L, H, Q
const LEVELS = [[10, 4], [7, 2], [17, 8], [13, 6]];
const EXP = [1], LOG = [];
for (const i of range(255)) {
  LOG[EXP[i]] = i;
  EXP.push((EXP[i] << 1) ^ (EXP[i] > 127 ? 0x11d : 0));
}
const times = (a, b) => (a && b ? EXP[(LOG[a] + LOG[b]) % 255] : 0);
const power = (k, n) => EXP[((25 - k) * n) % 255]; // of word k's root
function solved(rows) { // linear equations, null if they say too little
  for (const i of rows.keys()) {
    const k = rows.findIndex((row, j) => j >= i && row[i]);
    if (k < 0) return null;
    [rows[i], rows[k]] = [rows[k], rows[i]];
    const pivot = rows[i].map((it) => times(it, EXP[255 - LOG[rows[i][i]]]));
    rows = rows.map((row, j) => (j === i ? pivot : row.map((it, n) => it ^ times(row[i], pivot[n]))));
  }
  return rows.map((row) => row[rows.length]);
}
function corrected(words, parity, most) {
  const signs = (it) => range(parity).map((i) => it.reduce((sum, word) => times(sum, EXP[i]) ^ word, 0)); // 0: all right
  const s = signs(words);
  if (!s.some(Boolean)) return words;
  for (let n = 1; n <= most; n++) { // which n words, and by how much?
    const locator = solved(range(n).map((i) => s.slice(i, i + n + 1)));
    const wrong = (k) => !locator.reduce((sum, it, j) => sum ^ times(it, power(k, j)), power(k, n));
    const where = range(locator ? 26 : 0).filter(wrong);
    const by = where.length === n && solved(range(n).map((i) => [...where.map((k) => power(k, i)), s[i]]));
    const right = by && words.map((it, k) => it ^ by[where.indexOf(k)]);
    if (right && !signs(right).some(Boolean)) return right;
  }
  return null;
}
function numberIn(words) {
  const text = words.map((it) => it.toString(2).padStart(8, "0")).join("");
  const digits = /^00010000001111(.{50})0000/.exec(text)?.[1]; // numeric, fifteen of them, three in ten bits; the end
  const number = digits?.replace(/.{10}/g, (it) => String(parseInt(it, 2)).padStart(3, "0"));
  return number && isRegistrationNo(number) ? number : null;
}
