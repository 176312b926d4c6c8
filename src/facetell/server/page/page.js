// The page: what a person does -> what is read -> what they see. All computing is the worker's.

import { makeDoubt } from "./certainty.js";
import { clock, drawChart, tableRows } from "./chart.js";
import { colourOf } from "./colours.js";
import { showCards } from "./faces.js";
import { decodePhoto, InputError } from "./images.js";
import { makeReader } from "./reader.js";
import { download, toCsv, toJson, toReading } from "./results.js";
import { makeSmoother } from "./smooth.js";
import { drawFaces } from "./stage.js";
import { asked, percent, ranked } from "./sureness.js";

const PHOTO = { bytes: 100e6, pixels: 50e6 }; // a phone's browser has less memory than Python
const CLIP = { bytes: 4e9, pixels: 9.5e6, seconds: 1800 };
const CLIP_RATE = 5; // frames of each second of a clip that should be read ...
const SLOWEST = 0.25; // ... but it does not play slower than this
const RECENT = 6; // frames over which the time of one is averaged: some are searched whole
const MOST_READINGS = 20_000; // the newest are kept
const LIVE_WINDOW_S = 30; // of the chart, for a camera
const LEVELS = [0.8, 0.9, 0.95]; // of sets; a server may have started the page with another
const SAY_EVERY_MS = 4000; // a screen reader must get to finish its sentences

const $ = (id) => document.getElementById(id);
const video = $("video");

let manifest; // what models.json says
let reader; // the worker, started at first use
let work = null; // what is being read: see begin()
let works = 0; // and how many there were

start();

async function start() {
  if (typeof WebAssembly !== "object" || typeof OffscreenCanvas === "undefined") {
    return refuse("This page needs WebAssembly and OffscreenCanvas, which this browser lacks or forbids. Use a current Firefox, Chrome, Edge or Safari.");
  }
  try {
    const reply = await fetch("models.json");
    if (!reply.ok) throw new Error(`HTTP status ${reply.status}`);
    manifest = await reply.json();
  } catch (error) {
    return refuse(`models.json: expected the list of models, got none (${error.message}). Write the page's folder again and serve it over HTTP.`);
  }
  $("version").textContent = manifest.version;
  for (const { name } of manifest.models) $("model").append(new Option(name, name));
  showModel();
  offerCertainty();
  listen();
  document.documentElement.dataset.ready = "true";
}

function refuse(message) {
  complain(message);
  for (const id of ["choose", "camera", "model"]) $(id).disabled = true;
}

function listen() {
  $("choose").onclick = () => $("file").click();
  $("file").onchange = () => {
    const [file] = $("file").files;
    if (file) readFile(file);
    $("file").value = ""; // so that the same file can be chosen again
  };
  $("camera").onclick = () => (work?.kind === "camera" && work.live ? stop() : readCamera());
  $("model").onchange = changeModel;
  $("show-looks").onchange = drawBoxes;
  $("level").onchange = $("abstain").onchange = changeCertainty;
  $("who").onchange = showOverTime;
  $("table-part").ontoggle = showTable;
  $("play").onclick = () => (video.paused ? video.play() : video.pause());
  $("seek").oninput = () => (video.currentTime = Number($("seek").value));
  $("save-json").onclick = saveJson;
  $("save-csv").onclick = () =>
    download(`${saveName()}.csv`, "text/csv", toCsv(doubted(work.readings), model().contract.labels));
  video.onplay = video.onpause = () => ($("play").textContent = video.paused ? "Play" : "Pause");
  video.onseeking = startOverFrom;
  listenForDrops();
  new ResizeObserver(() => {
    drawBoxes();
    showOverTime();
  }).observe($("stage"));
}

function listenForDrops() {
  // Anywhere on the page: a file dropped beside the frame must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("stage").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("stage").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("stage").classList.remove("over");
    const files = event.dataTransfer.files;
    if (files.length) readFile(files[0], files.length);
  });
}

function model() {
  return manifest.models.find(({ name }) => name === $("model").value);
}

// Levels to choose from, and what the page starts with.
function offerCertainty() {
  const levels = [...new Set([...LEVELS, manifest.sets])].sort((a, b) => a - b);
  $("level").append(...levels.map((level) => new Option(asked(level), level)));
  $("level").value = manifest.sets;
  $("share").textContent = asked(manifest.abstain);
}

// The level of the sets and the share of answered faces that are asked for; null: not asked.
function askedFor() {
  return {
    sets: $("level").value ? Number($("level").value) : null,
    abstain: $("abstain").checked ? manifest.abstain : null,
  };
}

// Readings with sets and silence as they are asked for now, each by the model that made it.
function doubted(readings) {
  const models = manifest.models.map(({ contract }) => [contract.name, makeDoubt(contract, askedFor())]);
  const doubts = new Map(models);
  return readings.map((reading) => ({ ...reading, faces: reading.faces.map(doubts.get(reading.model)) }));
}

// What the contract says about the model, in a sentence or two.
function showModel() {
  const { architecture, results, data, face_px, channels, certainty } = model().contract;
  const judged = results.accuracy && results.faces
    ? ` It names the annotators' word for ${percent(results.accuracy)} of ${results.faces.toLocaleString("en")} ${data.name ?? ""} faces on which it was chosen, so that number is a little too good.`
    : "";
  $("about-model").textContent =
    `${model().name} is given each face as ${face_px} x ${face_px} ${channels === 1 ? "grey" : "coloured"} pixels: ${architecture}.${judged}${certainty ? "" : " It was not calibrated to say what else a face may be, or when it is not sure."}`;
  $("certainty").hidden = !certainty;
}

async function changeModel() {
  showModel();
  if (!work) return;
  work.points = []; // a chart of two models would compare nothing
  work.smooth = makeSmoother();
  if (work.kind === "photo") await readPhoto(work.file);
  else if (!work.live || video.paused) await readFrame(work, work.shown?.time_s ?? 0);
}

function changeCertainty() {
  showPeople();
  if (work?.kind === "photo" && work.shown) say(summary(shownPeople(), work.shown.size_wh));
}

// Begins a new piece of work and ends the last one.
function begin(kind, source, more = {}) {
  stop();
  complain("");
  work = {
    number: ++works, turn: 0, last_person: 0, kind, source, readings: [], points: [], took_ms: [],
    smooth: makeSmoother(), live: false, said: 0, ...more,
  };
  $("playback").hidden = kind !== "clip";
  $("over-time").hidden = kind === "photo";
  $("results").hidden = true;
  $("who").replaceChildren(new Option("the largest face", "largest"));
  return work;
}

function stop() {
  if (!work) return;
  work.live = false;
  video.pause();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  $("camera").textContent = "Turn on the camera";
  if (work.kind === "camera") {
    if (work.readings.length) say(`Camera off. ${work.readings.length} frames were read.`);
  }
  if (work.url) URL.revokeObjectURL(work.url);
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}

function complain(message) {
  $("alert").textContent = message;
  $("alert").hidden = !message;
}

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

// The worker with its networks loaded.
async function opened() {
  reader ??= makeReader();
  if (!reader.isOpen) say("Loading the networks, about 20 MB, once …");
  try {
    await reader.open(manifest.detector, model());
  } catch (error) {
    reader = null; // a second try starts afresh
    throw new InputError(`The networks could not be started (${error.message}). Check the connection and try again.`);
  }
  reader.isOpen = true;
  return reader;
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    complain(error.message);
    say("Nothing was read.");
    if (!(error instanceof InputError)) console.error(error);
  }
}

async function readFile(file, count = 1) {
  const isClip = file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv|ogv|avi)$/i.test(file.name);
  await (isClip ? readClip(file) : readPhoto(file));
  if (count > 1 && $("alert").hidden) complain(`${count} files were dropped; this page reads one at a time and took ${file.name}.`);
}

async function readPhoto(file) {
  const mine = begin("photo", file.name, { file });
  await attempt(async () => {
    const bitmap = await decodePhoto(file, PHOTO);
    const { read } = await opened();
    say(`Reading ${file.name} …`);
    const result = await read(bitmap, { detector: manifest.detector, model: model(), side: manifest.detector.side });
    if (mine !== work) return;
    mine.readings = [];
    show(mine, result, null);
    say(summary(shownPeople(), result.size_wh));
  });
}

async function readClip(file) {
  const mine = begin("clip", file.name, { url: URL.createObjectURL(file) });
  await attempt(async () => {
    if (file.size > CLIP.bytes) throw new InputError(`${file.name}: expected at most ${CLIP.bytes / 1e9} GB. Cut the clip.`);
    video.src = mine.url;
    await metadata(file.name);
    checkClip(file.name);
    $("seek").max = Number.isFinite(video.duration) ? video.duration : CLIP.seconds;
    await opened();
    if (mine === work) await follow(mine);
  });
}

function metadata(name) {
  return new Promise((resolve, reject) => {
    video.onloadedmetadata = resolve;
    video.onerror = () =>
      reject(new InputError(`${name}: expected a clip that this browser can play (MP4, WebM, …), got one it cannot. Convert it to MP4 (H.264), or use facetell read.`));
  });
}

function checkClip(name) {
  const { videoWidth: width, videoHeight: height, duration } = video;
  if (!width) throw new InputError(`${name}: expected a clip with pictures, got only sound.`);
  if (width * height > CLIP.pixels) throw new InputError(`${name}: expected at most ${CLIP.pixels / 1e6} million pixels a frame, got ${width} x ${height}. Make it smaller, or use facetell read.`);
  if (Number.isFinite(duration) && duration > CLIP.seconds) throw new InputError(`${name}: expected at most ${CLIP.seconds / 60} minutes, got ${clock(duration)}. Cut the clip, or use facetell read.`);
}

async function readCamera() {
  const mine = begin("camera", "camera");
  await attempt(async () => {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new InputError("The camera works only on pages served over HTTPS or from this computer (localhost). Open the page that way, or choose a photo.");
    }
    say("Waiting for the camera …");
    const stream = await navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false })
      .catch((error) => {
        throw new InputError(cameraTrouble(error));
      });
    if (mine !== work) return stream.getTracks().forEach((track) => track.stop());
    video.srcObject = stream;
    $("camera").textContent = "Turn off the camera";
    mine.live = true;
    await opened();
    if (mine === work && mine.live) await follow(mine); // it may have been turned off meanwhile
  });
}

function cameraTrouble({ name, message }) {
  if (name === "NotAllowedError") return "The camera was refused. Allow it for this page in the browser's address bar, and try again; or choose a photo.";
  if (name === "NotFoundError") return "No camera was found. Connect one, or choose a photo.";
  if (name === "NotReadableError") return "The camera is in use by another program. Close that, and try again.";
  return `The camera could not be started (${message || name}). Choose a photo instead.`;
}

// Plays the video and reads as many of its frames as this device manages.
async function follow(mine) {
  mine.live = true;
  mine.began = performance.now();
  // Slowly until the first frame has told how fast this device is.
  video.playbackRate = mine.kind === "clip" ? SLOWEST : 1;
  video.onended = () => mine === work && conclude(mine);
  await video.play();
  let busy = false;
  const next = async (_, { mediaTime }) => {
    if (!mine.live || mine !== work) return;
    onNextFrame(next);
    if (busy) return;
    busy = true;
    const now_s = mine.kind === "camera" ? (performance.now() - mine.began) / 1000 : mediaTime;
    const time_s = Math.round(1000 * now_s) / 1000;
    const asked = performance.now();
    await attempt(() => readFrame(mine, time_s));
    if (mine.kind === "clip" && mine === work) slowDown(mine, performance.now() - asked);
    busy = false;
  };
  onNextFrame(next);
}

// A clip plays slower where frames take long, so that enough of each second is read.
function slowDown(mine, frame_ms) {
  mine.took_ms = [...mine.took_ms, frame_ms].slice(-RECENT);
  const mean_ms = mine.took_ms.reduce((total, ms) => total + ms, 0) / mine.took_ms.length;
  video.playbackRate = Math.min(1, Math.max(SLOWEST, 1000 / CLIP_RATE / mean_ms));
}

function onNextFrame(callback) {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(callback);
  else requestAnimationFrame((now) => callback(now, { mediaTime: video.currentTime }));
}

async function readFrame(mine, time_s) {
  if (!video.videoWidth) return;
  const { number, turn, last_person } = mine;
  const bitmap = await createImageBitmap(video);
  const result = await reader.read(bitmap, {
    detector: manifest.detector, model: model(), side: manifest.detector.live_side,
    follow: { work: number, turn, last_person, time_s },
  });
  if (mine !== work || turn !== mine.turn || !mine.live) return result.bitmap.close();
  show(mine, result, time_s);
  if (video.ended && mine.kind === "clip") conclude(mine); // this frame was still on its way
  else speak(mine, result.faces);
}

function conclude(mine) {
  say(`Clip read: ${mine.readings.length} frames. ${peopleSeen(mine)}`);
}

// After a jump in the clip what was read from there on is forgotten: it is read again.
function startOverFrom() {
  if (work?.kind !== "clip") return;
  const from = video.currentTime;
  work.turn += 1; // frames on their way are of the past
  work.readings = work.readings.filter(({ time_s }) => time_s < from);
  const people = work.readings.flatMap(({ faces }) => faces.map(({ person }) => person));
  work.last_person = people.reduce((most, person) => Math.max(most, person), 0);
  work.smooth = makeSmoother();
  work.points = work.points.filter(({ time_s }) => time_s < from);
}

function show(mine, { bitmap, size_wh, faces, people: numbers, frame, isSearched, looks, ms }, time_s) {
  const people = named(mine, faces, numbers, frame, time_s);
  mine.shown = { size_wh, faces, looks, people, time_s, contract: model().contract };
  const reading = { source: mine.source, size_wh, faces, model: model().contract.name, time_s, people: numbers };
  mine.readings.push(toReading(reading));
  if (mine.readings.length > MOST_READINGS) mine.readings.shift();
  drawPicture(bitmap);
  $("stage").dataset.ms = JSON.stringify({ ...ms, frame, isSearched }); // for benchmarks/page.py
  const hidden = showPeople();
  $("no-faces").hidden = people.length > 0;
  $("no-faces").textContent = "No face was found in this picture. That is an answer, not an error; faces under about 24 pixels, covered or turned far away are missed.";
  $("more-faces").hidden = hidden <= 0;
  $("more-faces").textContent = `${hidden} more are in the files.`;
  if (time_s !== null) addPoints(mine, people, time_s);
  showResults(mine);
}

// Number, label, score and warnings of each face: of the photo's, or of the person it belongs to.
function named(mine, faces, numbers, frame, time_s) {
  return faces.map((face, n) => {
    const person = numbers[n];
    const scores = time_s === null ? face.scores : mine.smooth(person, face.scores, time_s);
    const [[label, score]] = ranked(scores);
    return { person, frame, scores, label, score, warnings: face.warnings };
  });
}

// Bitmaps are shown at their own size; style makes them fit.
function drawPicture(bitmap) {
  const frame = $("frame");
  [frame.width, frame.height] = [bitmap.width, bitmap.height];
  const context = frame.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  $("stage").classList.remove("empty");
  $("drop").hidden = true;
  frame.hidden = $("boxes").hidden = false;
}

function drawBoxes() {
  if (!work?.shown) return;
  drawFaces($("boxes"), work.shown.size_wh, { ...work.shown, people: shownPeople(), showLooks: $("show-looks").checked });
}

// The people that are shown, with sets and silence as they are asked for now.
function shownPeople() {
  return work.shown.people.map(makeDoubt(work.shown.contract, askedFor()));
}

// Boxes and cards; gives the number of people who have no card.
function showPeople() {
  if (!work?.shown) return 0;
  drawBoxes();
  const { looks, time_s, contract } = work.shown;
  return showCards($("cards"), {
    people: shownPeople(), looks, noun: time_s === null ? "Face" : "Person", isGrey: contract.channels === 1, level: askedFor().sets,
  });
}

function addPoints(mine, people, time_s) {
  people.forEach(({ person, frame, scores }, n) =>
    mine.points.push({ time_s, frame, person, largest: n === 0, scores }),
  );
  if (mine.points.length > MOST_READINGS) mine.points.splice(0, mine.points.length - MOST_READINGS);
  const known = new Set([...$("who").options].map(({ value }) => value));
  for (const { person } of people) {
    if (!known.has(String(person))) $("who").append(new Option(`person ${person}`, person));
  }
  $("seek").value = time_s;
  $("time").textContent = clock(time_s);
  showOverTime();
}

function chosenPoints() {
  const who = $("who").value;
  return work.points.filter(({ person, largest }) => (who === "largest" ? largest : String(person) === who));
}

function showOverTime() {
  if (!work || $("over-time").hidden || !work.shown) return;
  const { labels } = model().contract;
  const now = work.shown.time_s;
  const isFinite = Number.isFinite(video.duration) && work.kind === "clip";
  const span = isFinite ? [0, Math.max(video.duration, 1)] : [Math.max(0, now - LIVE_WINDOW_S), Math.max(now, 5)];
  drawChart($("chart"), chosenPoints(), labels, span);
  showLegend(labels);
  if ($("table-part").open && performance.now() - (work.tabled ?? 0) > 1000) showTable();
}

function showLegend(labels) {
  const legend = $("legend");
  if (legend.dataset.labels === labels.join()) return;
  legend.dataset.labels = labels.join();
  legend.replaceChildren(
    ...labels.map((label) => {
      const item = document.createElement("li");
      item.textContent = label;
      item.style.setProperty("--colour", colourOf(label));
      return item;
    }),
  );
}

function showTable() {
  if (!work || !$("table-part").open) return;
  work.tabled = performance.now();
  const { labels } = model().contract;
  const cells = (kind, texts) => texts.map((text) => Object.assign(document.createElement(kind), { textContent: text }));
  const row = (kind, texts) => {
    const line = document.createElement("tr");
    line.append(...cells(kind, texts));
    return line;
  };
  $("table").tHead.replaceChildren(row("th", ["time", "person", "looks", ...labels]));
  $("table").tBodies[0].replaceChildren(
    ...tableRows(chosenPoints()).map(({ time_s, person, scores }) =>
      row("td", [`${time_s.toFixed(1)} s`, person, ranked(scores)[0][0], ...labels.map((label) => percent(scores[label]))]),
    ),
  );
}

function showResults(mine) {
  $("results").hidden = false;
  const count = mine.readings.length;
  $("results-text").textContent = mine.kind === "photo"
    ? "What was read from this photo, in the shape that facetell gives in Python and on the command line."
    : `${count.toLocaleString("en")} frame${count > 1 ? "s" : ""} so far, one JSON object a line; the newest ${MOST_READINGS.toLocaleString("en")} are kept.`;
}

function saveName() {
  return (work.source.replace(/\.[^.]*$/, "") || "faces") + ".faces";
}

function saveJson() {
  const lines = work.kind !== "photo";
  download(`${saveName()}.${lines ? "jsonl" : "json"}`, "application/json", toJson(doubted(work.readings)));
}

function summary(faces, [width, height]) {
  const size = `${width} x ${height} pixels`;
  if (!faces.length) return `No face found in ${size}.`;
  const labels = faces.slice(0, 6).map((face, n) => `${n + 1}\u00a0${face.label}${unsure(face)}\u00a0${percent(face.score)}`);
  const more = faces.length > 6 ? ", …" : "";
  return `${faces.length} face${faces.length > 1 ? "s" : ""} in ${size}: ${labels.join(", ")}${more}.`;
}

// In words, because screen readers pass over a question mark.
function unsure({ sure }) {
  return sure === false ? " (not sure)" : "";
}

// While a camera or clip runs: how fast, and what the largest face looks like; not too often.
function speak(mine, faces) {
  const now = performance.now();
  if (now - mine.said < SAY_EVERY_MS && mine.said) return;
  const rate = mine.said ? (mine.readings.length - mine.counted) / ((now - mine.said) / 1000) : 0;
  Object.assign(mine, { said: now, counted: mine.readings.length });
  const speed = rate > 0 ? ` ${rate.toFixed(1)} frames a second.` : "";
  const [one] = shownPeople();
  const what = one ? `${faces.length} face${faces.length > 1 ? "s" : ""}; person ${one.person} looks ${one.label}${unsure(one)}, ${percent(one.score)}.` : "No face in sight.";
  const slowed = video.playbackRate < 0.95 ? ` Played at ${percent(video.playbackRate)} of its speed.` : "";
  say(what + speed + slowed);
}

function peopleSeen(mine) {
  const count = new Set(mine.points.map(({ person }) => person)).size;
  return count ? `${count} ${count > 1 ? "people" : "person"} followed.` : "No face found.";
}
