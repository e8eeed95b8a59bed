// What this page keeps on the device.

import { keeping } from "./common/keeping.js";

export const { kept, recall, remember, forget, keys } = keeping("jiaohao-staff:");
