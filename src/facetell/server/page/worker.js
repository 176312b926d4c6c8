// Everything that takes time, off the page's own thread: pixels, detection, crops, scores.
//
// Messages in: {id, task: "open"|"read", ...}; out: {id, result} or {id, error}.

import * as ort from "./vendor/ort.wasm.min.js";
import { cropFace, cropQuad } from "./crop.js";
import { detectFaces } from "./detect.js";
import { makeFinder } from "./follow.js";
import { pixelsOf } from "./images.js";
import { warn } from "./quality.js";
import { lookedAt, predict, straighten, toFace } from "./score.js";

const BATCH = 8; // faces per call, with their mirror images; memory grows with it
const HERE = new URL("./", import.meta.url);

ort.env.logLevel = "error";
ort.env.wasm.wasmPaths = {
  mjs: new URL("vendor/ort-wasm-simd-threaded.js", HERE).href,
  wasm: new URL("vendor/ort-wasm-simd-threaded.wasm", HERE).href,
};
// Threads share memory, which browsers allow to isolated pages only.
ort.env.wasm.numThreads = self.crossOriginIsolated
  ? Math.min(4, navigator.hardwareConcurrency || 1)
  : 1;

const sessions = new Map(); // file -> promise of a session
let queue = Promise.resolve(); // one task at a time: the networks are not re-entrant
let followed = {}; // {work, turn, finder}: the clip or camera whose people are known

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data));
};

async function answer({ id, task, ...values }) {
  try {
    const result = task === "open" ? await open(values) : await read(values);
    self.postMessage({ id, result }, result?.bitmap ? [result.bitmap] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
}

async function open({ detector, model }) {
  await Promise.all([session(detector.file), session(model.file)]);
  return { threads: ort.env.wasm.numThreads };
}

// A picture -> {faces, people, looks, size_wh, bitmap, ms, ...}. `looks` tells, face by face, what
// the model was given and where it looked; `people` gives their numbers. For a frame, `follow`
// says of what; without it the picture stands for itself.
async function read({ bitmap, detector, model, side, follow = null }) {
  const { contract } = model;
  const start = performance.now();
  const image = pixelsOf(bitmap);
  const taken = performance.now();
  const run = detectorRun(detector);
  const detect = (picture, longer) => detectFaces(picture, run, { ...detector, side: longer });
  const { people, frame, isSearched } = follow
    ? await finderOf(follow, detect, side).find(image, follow.time_s)
    : { people: alone(await detect(image, side)), frame: 0, isSearched: true };
  const found = people.map(({ detection }) => detection);
  const detected = performance.now();
  const quads = found.map((face) => cropQuad(face, contract));
  const crops = quads.map((quad) => cropFace(image, quad, contract.face_px));
  const scored = [];
  for (let i = 0; i < crops.length; i += BATCH) {
    scored.push(...(await predict(crops.slice(i, i + BATCH), contract, modelRun(model))));
  }
  const end = performance.now();
  return {
    bitmap,
    size_wh: [image.width, image.height],
    faces: found.map((face, n) => toFace(face, scored[n], contract.labels, warn(crops[n], face))),
    people: people.map(({ person }) => person),
    frame,
    isSearched,
    looks: crops.map((crop, n) => look(crop, quads[n], scored[n].theta)),
    ms: { pixels: taken - start, detect: detected - taken, score: end - detected },
  };
}

// What is known of the people of a clip or camera. Another `work` begins with nobody; another
// `turn` of it, after a jump, too, but numbers go on after `last_person`.
function finderOf({ work, turn, last_person }, detect, side) {
  if (followed.work !== work) followed = { work, turn, finder: makeFinder(detect, side) };
  if (followed.turn !== turn) followed.finder.startOver(last_person);
  followed.turn = turn;
  return followed.finder;
}

function alone(found) {
  return found.map((detection, n) => ({ person: n + 1, detection }));
}

function look(crop, quad, theta) {
  if (!theta) return { crop, quad, straight: null, area: null };
  return { crop, quad, straight: straighten(crop, theta), area: lookedAt(theta, crop.width) };
}

function session(file) {
  if (!sessions.has(file)) {
    const opening = fetchBytes(file).then((bytes) =>
      ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }),
    );
    sessions.set(file, opening);
    opening.catch(() => sessions.delete(file)); // so that a second try can succeed
  }
  return sessions.get(file);
}

async function fetchBytes(file) {
  const reply = await fetch(new URL(file, HERE));
  if (!reply.ok) throw new Error(`${file}: expected a network, got HTTP status ${reply.status}.`);
  return new Uint8Array(await reply.arrayBuffer());
}

function detectorRun({ file }) {
  return async (tensor, height, width) => {
    const image = new ort.Tensor("float32", tensor, [1, 3, height, width]);
    return flat(await (await session(file)).run({ image }));
  };
}

function modelRun({ file, contract: { channels, face_px: side } }) {
  return async (tensor, count) => {
    const faces = new ort.Tensor("float32", tensor, [count, 1, channels, side, side]);
    return flat(await (await session(file)).run({ faces }));
  };
}

function flat(outputs) {
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
}
