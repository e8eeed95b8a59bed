// How a called place is announced.

import { labelOf, polite, t } from "../app.js";

// A called relative is told by a sound too, where the browser allows it.
let sound;
addEventListener("pointerdown", () => {
  const Audio = window.AudioContext ?? window.webkitAudioContext;
  if (!sound && Audio) try { sound = new Audio(); } catch { /* none */ }
  sound?.resume?.().catch(() => {});
});
export function ring(it) {
  polite(t("turnOf", labelOf(it)));
  navigator.vibrate?.([300, 150, 300]);
  if (sound?.state !== "running") return;
  [[0, 660], [0.35, 880], [0.7, 660]].forEach(([at_s, hertz]) => {
    const tone = sound.createOscillator();
    const gain = sound.createGain();
    const start_s = sound.currentTime + at_s;
    tone.frequency.value = hertz;
    gain.gain.setValueAtTime(0.0001, start_s);
    gain.gain.exponentialRampToValueAtTime(0.3, start_s + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.0001, start_s + 0.33);
    tone.connect(gain).connect(sound.destination);
    tone.start(start_s);
    tone.stop(start_s + 0.35);
  });
}
