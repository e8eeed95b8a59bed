// The camera: looks for a QR code until it finds one, and is always switched off afterwards.

const LOOK_EVERY_MS = 150;
const WIDEST_PX = 600; // for our own reader: enough for a code across a fifth of the frame, and quick on a phone

/** Why this browser cannot scan: `insecure`, `noCamera`; null where it can. */
export function hindrance() {
  if (!isSecureContext) return "insecure";
  return navigator.mediaDevices?.getUserMedia ? null : "noCamera";
}

/** What finds codes in a frame: the browser's own detector, or ours, loaded only where it is needed. */
async function detectorOf() {
  const formats = await globalThis.BarcodeDetector?.getSupportedFormats().catch(() => []);
  if (formats?.includes("qr_code")) return new BarcodeDetector({ formats: ["qr_code"] });
  const { read } = await import("./staff-qr.js");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return {
    async detect(video) {
      const { videoWidth: width, videoHeight: height } = video;
      const side = Math.min(width, height); // the page shows the middle square
      if (!side) return [];
      const size = canvas.width = canvas.height = Math.min(side, WIDEST_PX);
      context.drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, size, size);
      const rawValue = read(context.getImageData(0, 0, size, size));
      return rawValue ? [{ rawValue }] : [];
    },
  };
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
  const detector = await detectorOf();
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
