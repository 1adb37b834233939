// Arithmetic on pixels, for the page and its worker.
"use strict";

const BAND = 0.2; // probabilities this close to the threshold, on either side, become partly transparent in a cut-out
const STRIP = 256; // rows of a photograph that are in memory as pixels at a time

/**
 * Weights of antialiased bilinear resizing from `length` to `size` pixels, as in Pillow's ImagingResample.
 *
 * Where the picture is enlarged this is plain bilinear interpolation with pixel centers at halves.
 * Returns for each output pixel the index of the first input pixel that it depends on, and the weights from there on.
 */
function triangles(length, size) {
  const scale = length / size;
  const radius = Math.max(scale, 1);
  return Array.from({ length: size }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - radius + 0.5));
    const end = Math.min(length, Math.floor(center + radius + 0.5));
    const weights = new Float32Array(end - first);
    for (let k = 0; k < weights.length; k++) {
      weights[k] = Math.max(0, 1 - Math.abs(first + k + 0.5 - center) / radius);
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Calls `use(pixels, top, rows)` for strips of a bitmap from top to bottom; transparent pixels are blended with white. */
function eachStrip(bitmap, use) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(height, STRIP));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    use(context.getImageData(0, 0, width, rows), top, rows);
  }
}

/** Resizes a bitmap to the input of the network: size x size pixels, RGB, as Pillow does, rounded after each axis. */
function shrink(bitmap, size) {
  const { width, height } = bitmap;
  const columns = triangles(width, size);
  const narrow = new Uint8ClampedArray(height * size * 3);
  eachStrip(bitmap, ({ data }, top, rows) => {
    for (let y = 0; y < rows; y++) {
      let to = (top + y) * size * 3;
      for (const { first, weights } of columns) {
        let from = (y * width + first) * 4;
        let red = 0, green = 0, blue = 0;
        for (let k = 0; k < weights.length; k++, from += 4) {
          red += weights[k] * data[from];
          green += weights[k] * data[from + 1];
          blue += weights[k] * data[from + 2];
        }
        narrow[to++] = red;
        narrow[to++] = green;
        narrow[to++] = blue;
      }
    }
  });
  const result = new Uint8ClampedArray(size * size * 3);
  triangles(height, size).forEach(({ first, weights }, y) => {
    for (let x = 0; x < size * 3; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * narrow[(first + k) * size * 3 + x];
      result[y * size * 3 + x] = sum;
    }
  });
  return new Uint8Array(result.buffer);
}

/**
 * Enlarges a probability map of size x size bilinearly to width x height.
 *
 * Returns a function of y that gives a row of it, which is valid until the next call.
 */
function enlarge(probability, size, width, height) {
  const wide = new Float32Array(size * width);
  triangles(size, width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < size; y++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * probability[y * size + first + k];
      wide[y * width + x] = sum;
    }
  });
  const rows = triangles(size, height);
  const row = new Float32Array(width);
  return (y) => {
    const { first, weights } = rows[y];
    row.fill(0);
    for (let k = 0; k < weights.length; k++) {
      const start = (first + k) * width;
      for (let x = 0; x < width; x++) row[x] += weights[k] * wide[start + x];
    }
    return row;
  };
}

/** Opacity, 0 to 1: rises linearly in a band around the threshold, which is narrower near 0 and 1. */
function opacity(probability, threshold) {
  const band = Math.min(BAND, threshold, 1 - threshold);
  return Math.min(1, Math.max(0, 0.5 + (probability - threshold) / (2 * band)));
}

/**
 * Changes a row of RGBA pixels, from index `start` of `data` on, to what is shown.
 *
 * row: probabilities of the foreground.
 * look: {view: "photo" | "overlay" | "mask" | "cutout", threshold, background: [r, g, b], or null for transparent}.
 */
function paint(data, start, row, { view, threshold, background }) {
  if (view === "photo") return;
  for (let x = 0, i = start; x < row.length; x++, i += 4) {
    if (view === "mask") {
      data[i] = data[i + 1] = data[i + 2] = row[x] > threshold ? 255 : 0;
    } else if (view === "overlay") {
      if (row[x] > threshold) continue;
      const gray = 0.3 * (data[i] + data[i + 1] + data[i + 2]) / 3 + 0.7 * 128; // as the report fades backgrounds
      data[i] = data[i + 1] = data[i + 2] = gray;
    } else {
      const alpha = opacity(row[x], threshold);
      if (background === null) {
        data[i + 3] = 255 * alpha;
      } else {
        for (let c = 0; c < 3; c++) data[i + c] = alpha * data[i + c] + (1 - alpha) * background[c];
      }
    }
  }
}
