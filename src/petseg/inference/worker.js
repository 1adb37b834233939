// The worker: decodes photographs, runs the network, and writes PNG files, so that the page never freezes.

const PREVIEW = 1200; // longer side of what the page shows, pixels
let session; // a promise of the network
let size; // of its input
let photo; // the photograph, as a bitmap
let probability; // its map, size x size

/** Decodes base64 and gunzips. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Starts ONNX Runtime Web. It gets its WebAssembly as bytes and one thread, so it loads nothing and starts no worker. */
async function load({ script, wasm, model }) {
  const url = URL.createObjectURL(new Blob([await unpack(script)], { type: "text/javascript" }));
  const ort = await import(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpack(wasm);
  return { ort, network: await ort.InferenceSession.create(await unpack(model)) };
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(
      `${file.name} is not an image that this browser can open. JPEG, PNG and WebP images work in every browser.`,
    );
  }
}

/** The photograph's pixels, reduced to PREVIEW if it is larger. */
function preview() {
  const scale = Math.min(1, PREVIEW / Math.max(photo.width, photo.height));
  const width = Math.max(1, Math.round(scale * photo.width));
  const height = Math.max(1, Math.round(scale * photo.height));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(photo, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

const actions = {
  async start(assets) {
    size = assets.size;
    session = load(assets);
    await session;
  },

  async segment({ file }) {
    const bitmap = await decode(file);
    const { ort, network } = await session;
    const image = new ort.Tensor("uint8", shrink(bitmap, size), [1, size, size, 3]);
    const output = (await network.run({ image })).probability;
    photo?.close();
    photo = bitmap;
    probability = output.data;
    return { width: photo.width, height: photo.height, probability, preview: preview() };
  },

  async save({ look }) {
    const { width, height } = photo;
    const rowOf = enlarge(probability, size, width, height);
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    eachStrip(photo, (pixels, top, rows) => {
      for (let y = 0; y < rows; y++) paint(pixels.data, y * width * 4, rowOf(top + y), look);
      context.putImageData(pixels, 0, top);
    });
    try {
      return await canvas.convertToBlob({ type: "image/png" });
    } catch {
      throw new Error(`This browser cannot write an image of ${width} × ${height} pixels. Try a smaller photograph.`);
    }
  },
};

let last = Promise.resolve(); // messages are answered one after the other
onmessage = ({ data: { id, action, ...values } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, result: await actions[action](values) });
    } catch (error) {
      postMessage({ id, error: error.message || String(error) });
    }
  });
};
