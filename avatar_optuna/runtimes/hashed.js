// A student of code, with its weights: __NAME__. Written by avatar-optuna; it needs nothing else.
//
// A function is read as UTF-8 bytes. Tokens are runs of word bytes, or one other byte that is no white space; n-grams
// of them (or of bytes) are hashed to buckets, each bucket has a row in a table, and the rows are pooled.

const GROUP_SIZE = 32; // weights of a row that share a scale, at int4
const STUDENT = __STUDENT__;
const WEIGHTS = readWeights("__WEIGHTS__");

export const name = STUDENT.name;
export const language = STUDENT.language; // of the functions that it learnt from
export const arity = STUDENT.arity; // functions an input: 1, or 2 for a pair
export const labelNames = STUDENT.labelNames;
export const threshold = STUDENT.threshold; // of two labels, the second from this probability on
export const temperature = STUDENT.temperature; // logits are divided by it before the softmax
export const windowSize = STUDENT.window; // distinct n-grams of a function that are read at most

const MAX_COUNT = 16; // more occurrences of a bucket in a function count as this many
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** Probabilities of the labels for each input: a text, or an array of two for a student of pairs. */
export function predict(inputs) {
  const vectors = new Map();
  return inputs.map((input) => {
    const texts = typeof input === "string" ? [input] : input;
    if (texts.length !== arity) throw new Error(`each input must hold ${arity} functions, got ${texts.length}`);
    for (const text of texts) if (!vectors.has(text)) vectors.set(text, encode(text));
    const logits = classify(texts.map((text) => vectors.get(text))).map((logit) => logit / temperature);
    const highest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - highest));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    return exponentials.map((value) => value / sum);
  });
}

/** Number of the label that the probabilities of one input give. */
export function label(probabilities) {
  if (probabilities.length === 2) return probabilities[1] >= threshold ? 1 : 0;
  return probabilities.indexOf(Math.max(...probabilities));
}

/** Whether a function is longer than the window: only its beginning is read. */
export function isTruncated(text) {
  return buckets(text).size > windowSize;
}

/** The vector of a function. */
export function encode(text) {
  let vector = norm(pooled(text), "norm");
  for (let layer = 0; layer < STUDENT.layers; layer++) {
    const inner = linear(norm(vector, `layers.${layer}.norm`), `layers.${layer}.dense`);
    const added = linear(inner.map((value) => Math.max(value, 0)), `layers.${layer}.output`);
    vector = vector.map((value, place) => value + added[place]);
  }
  return vector;
}

/** Logits of the vectors of an input's functions. */
export function classify([first, second]) {
  const joined = second
    ? [...first.map((value, place) => Math.abs(value - second[place])), ...first.map((value, place) => value * second[place])]
    : first;
  const inner = linear(joined, "classifier.dense");
  return linear(inner.map((value) => Math.max(value, 0)), "classifier.out_proj");
}

/** The mean of a function's rows of the table, weighted by their occurrences, and the highest of each column. */
function pooled(text) {
  const table = WEIGHTS["table.weight"];
  const width = table.shape[1];
  const mean = new Array(width).fill(0);
  const highest = new Array(width).fill(-Infinity);
  let [total, read] = [0, 0];
  for (const [bucket, count] of buckets(text)) {
    if (read++ === windowSize) break;
    const weight = Math.log1p(Math.min(count, MAX_COUNT));
    total += weight;
    for (let column = 0; column < width; column++) {
      const value = table.values[bucket * width + column];
      mean[column] += weight * value;
      highest[column] = Math.max(highest[column], value);
    }
  }
  const means = mean.map((value) => value / Math.max(total, 1e-6));
  return STUDENT.hasMax ? [...means, ...highest.map((value) => (read ? value : 0))] : means;
}

/** The buckets of a function in the order of their first appearance, each with its number of occurrences. */
function buckets(text) {
  const counts = new Map();
  for (const hash of hashes(text)) {
    const bucket = hash % STUDENT.buckets;
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  return counts;
}

/** Hashes of a function's n-grams, by length, then by place. */
function hashes(text) {
  const bytes = new TextEncoder().encode(text.replace(/\p{Surrogate}/gu, "?"));
  return STUDENT.isBytes ? byteHashes(bytes, STUDENT.longest) : tokenHashes(bytes, STUDENT.longest);
}

function byteHashes(bytes, length) {
  const found = [];
  for (let start = 0; start + length <= bytes.length; start++) {
    let hash = 0;
    for (let place = 0; place < length; place++) hash = (Math.imul(hash, 257) + bytes[start + place]) >>> 0;
    found.push(mixed(hash));
  }
  return found;
}

function tokenHashes(bytes, longest) {
  const tokens = [];
  for (let place = 0; place < bytes.length; ) {
    let end = place;
    while (end < bytes.length && isWord(bytes[end])) end++;
    if (end > place) tokens.push(crc32(bytes, place, end));
    else if (!isSpace(bytes[end++])) tokens.push(crc32(bytes, place, end));
    place = end;
  }
  const found = [...tokens];
  let shorter = tokens;
  for (let length = 2; length <= longest; length++) {
    shorter = shorter.slice(0, -1).map((hash, place) => mixed((Math.imul(hash, 31) + tokens[place + length - 1]) >>> 0));
    for (const hash of shorter) found.push(hash);
  }
  return found;
}

function isWord(byte) {
  return byte >= 128 || byte === 95 || (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
}

function isSpace(byte) {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

function crc32(bytes, start, end) {
  let sum = 0xffffffff;
  for (let place = start; place < end; place++) sum = CRC_TABLE[(sum ^ bytes[place]) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

function mixed(hash) {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function linear(vector, layer) {
  const { values, shape } = WEIGHTS[`${layer}.weight`];
  const bias = WEIGHTS[`${layer}.bias`].values;
  return Array.from(bias, (start, row) => {
    let sum = start;
    for (let column = 0; column < shape[1]; column++) sum += values[row * shape[1] + column] * vector[column];
    return sum;
  });
}

function norm(vector, layer) {
  const [scale, shift] = [WEIGHTS[`${layer}.weight`].values, WEIGHTS[`${layer}.bias`].values];
  const mean = vector.reduce((a, b) => a + b, 0) / vector.length;
  const variance = vector.reduce((sum, value) => sum + (value - mean) ** 2, 0) / vector.length;
  return vector.map((value, place) => ((value - mean) / Math.sqrt(variance + 1e-5)) * scale[place] + shift[place]);
}

/** The tensors of a safetensors file (base64), those of int8 and int4 multiplied by their scales. */
function readWeights(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const columns = JSON.parse(metadata?.columns ?? "{}");
  const readers = {
    F32: (place, at) => view.getFloat32(at + 4 * place, true),
    F16: (place, at) => half(view.getUint16(at + 2 * place, true)),
    I8: (place, at) => view.getInt8(at + place),
    U8: (place, at) => view.getUint8(at + place),
  };
  const number = (entry, place) => readers[entry.dtype](place, start + entry.data_offsets[0]);
  const tensors = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (name.endsWith(".scale") && entries[name.slice(0, -".scale".length)]) continue;
    const shape = name in columns ? [entry.shape[0], columns[name]] : entry.shape;
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const scale = entries[`${name}.scale`];
    for (let place = 0; place < values.length; place++) {
      const [row, column] = [Math.floor(place / shape[1]), place % shape[1]];
      if (!scale) values[place] = number(entry, place);
      else if (!(name in columns)) values[place] = number(entry, place) * number(scale, row);
      else {
        const byte = number(entry, row * entry.shape[1] + (column >> 1));
        const nibble = column % 2 ? byte >> 4 : byte & 15;
        values[place] = (nibble - 8) * number(scale, row * scale.shape[1] + Math.floor(column / GROUP_SIZE));
      }
    }
    tensors[name] = { values, shape };
  }
  return tensors;
}

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
