// Papers as typed: one spelling, then a check; the same rules as the server's (GB 11643-1999 and the permits' forms,
// server/core/names.py for what is left of names). Which names are the same, the server alone decides.

// White space, hyphens and dashes, and the invisible marks that come along with copy and paste.
const BETWEEN = /[\s\-\u00ad\u200b-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff]+/g;
const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECK = "10X98765432";

export const normalise = {
  id_number: (raw) => raw.normalize("NFKC").replace(BETWEEN, "").toUpperCase(),
  phone: (raw) => raw.normalize("NFKC").replace(BETWEEN, "").replace(/[().]/g, "").replace(/^(\+86|0086|86)(?=\d{11}$)/, ""),
  name: (raw) => raw.normalize("NFKC").replace(/\s+/g, " ").trim(),
};

// 15 digits are an ID number of the old kind: the server makes them 18, or says why not.
function residentId(number) {
  if (/^\d{15}$/.test(number)) return isDay(`${/99[6-9]$/.test(number) ? 18 : 19}${number.slice(6, 12)}`) ? null : ["birth-date"];
  if (number.length !== 18) return ["id-length", number.length];
  if (!/^\d{17}[\dX]$/.test(number)) return ["characters"];
  if (!isDay(number.slice(6, 14))) return ["birth-date"];
  const sum = WEIGHTS.reduce((all, weight, i) => all + weight * Number(number[i]), 0);
  return CHECK[sum % 11] === number[17] ? null : ["checksum"];
}
function isDay(text) {
  const [year, month, day] = [text.slice(0, 4), text.slice(4, 6), text.slice(6)].map(Number);
  const born = new Date(Date.UTC(year, month - 1, day));
  return year >= 1880 && born.getUTCMonth() === month - 1 && born.getUTCDate() === day;
}
const form = (pattern) => (number) => (pattern.test(number) ? null : ["format"]);
const IDS = {
  resident_id: residentId,
  residence_permit: (number) => (number.length === 15 ? ["id-length", 15] : residentId(number)) ?? (/^8[123]0000/.test(number) ? null : ["region"]),
  hk_macao_permit: form(/^[HM]\d{8}(\d{2})?$/),
  taiwan_permit: form(/^\d{8}(\d{2})?$/),
  passport: form(/^[A-Z0-9]{5,20}$/),
};

// What is wrong with a normalised field: a word of WORDS and its values, or null.
export function faultOf(field, value, id_type) {
  if (!value) return ["required"];
  if (field === "id_number") return IDS[id_type](value);
  if (field === "phone") return /^1[3-9]\d{9}$/.test(value) ? null : ["phone-format"];
  if (field === "name") return nameFault(value);
  return null;
}

const LOST = /[?¿؟\ufffd\ufffc*⁎∗✱✲✳✻✽★☆#_\\%□■▢▣▭▮▯◻◼◽◾☐⬜⬛█〓○◯⭕×✕✖✗✘⍰]|锟斤拷|烫烫|屯屯屯/u;
const MASKED = /^\p{Script=Han}{1,2}(?:[Xx]{1,3}|某{1,2})$|[●⚫⬤]$|[.·。…‥-]{2,}$|[—–]{2,}$/u;
// Private use that GBK's public tables know: the server reads it.
const KNOWN = /[\ue815-\ue864\ue7c7\ue7c8]/gu;
function nameFault(name) {
  if ([...name].length > 64) return ["length"];
  if (LOST.test(name) || MASKED.test(name)) return ["name-lost"];
  const rest = name.replace(KNOWN, "字");
  if (/\p{Co}/u.test(rest)) return ["name-private"];
  return /\p{L}/u.test(rest) ? null : ["name-empty"];
}
