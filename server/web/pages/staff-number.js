// Registration numbers: fifteen digits in threes of five, the last one a check digit.

export const LENGTH = 15;

/** What was typed or scanned, without spaces and dashes; full-width digits become plain ones. */
export const plain = (text) => text.normalize("NFKC").replace(/[\s.\-–—]/g, "");

/** In groups of five, to be read aloud. */
export const spaced = (no) => no.replace(/.{5}(?=.)/g, "$& ");

/** Whether it is fifteen digits with the right check digit (ISO 7064 MOD 11-10). */
export function isRegistrationNo(no) {
  if (no.length !== LENGTH || /\D/.test(no)) return false;
  let product = 10;
  for (const digit of no.slice(0, -1)) product = (((product + Number(digit)) % 10 || 10) * 2) % 11;
  return (product + Number(no[no.length - 1])) % 10 === 1;
}
