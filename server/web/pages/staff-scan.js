// The camera: looks for a QR code until it finds one, and is always switched off afterwards.

const LOOK_EVERY_MS = 150;

/** Why this browser cannot scan: `insecure`, `noCamera`, `noDetector`; null where it can. */
export async function hindrance() {
  if (!isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia) return "noCamera";
  const formats = await globalThis.BarcodeDetector?.getSupportedFormats().catch(() => []);
  return formats?.includes("qr_code") ? null : "noDetector";
}

/** What a failure to open the camera means. */
export const failure = ({ name }) => ({ NotAllowedError: "denied", NotFoundError: "noCamera", NotReadableError: "cameraBusy" })[name] ?? "cameraFailed";

/**
 * Resolves to the first text that `accept` takes, or to null when `stop` is aborted.
 *
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} stop
 * @param {(text: string) => boolean} accept told of every code seen
 */
export async function scan(video, stop, accept) {
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  try {
    if (stop.aborted) return null;
    video.srcObject = stream;
    await video.play();
    while (!stop.aborted) {
      const codes = await detector.detect(video).catch(() => []); // a frame that is not ready yet
      const found = codes.map((it) => it.rawValue).find(accept);
      if (found !== undefined) return stop.aborted ? null : found;
      await new Promise((resolve) => { setTimeout(resolve, LOOK_EVERY_MS); });
    }
    return null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}
