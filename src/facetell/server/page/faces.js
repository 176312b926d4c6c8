// A card for each face: its label, how sure the model is, and what it was given.

import { colourOf } from "./colours.js";
import { labelText, percent, ranked, setSentence, sureness } from "./sureness.js";

const MOST = 12; // cards; more would bury the page, the files hold all

// Cards are kept and changed in place, so that a reader's focus stays where it is. `level` is that
// of the people's sets.
export function showCards(list, { people, looks, noun, isGrey, level }) {
  const shown = people.slice(0, MOST);
  while (list.children.length > shown.length) list.lastElementChild.remove();
  while (list.children.length < shown.length) list.append(makeCard());
  shown.forEach((one, n) => fillCard(list.children[n], one, looks[n], { noun, isGrey, level }));
  return people.length - shown.length;
}

function makeCard() {
  return document.querySelector("#face-card").content.firstElementChild.cloneNode(true);
}

function fillCard(card, one, look, { noun, isGrey, level }) {
  const { person, label, score } = one;
  const find = (name) => card.querySelector(`[data-part="${name}"]`);
  const { verdict, sentence } = sureness(one);
  card.style.setProperty("--colour", colourOf(label));
  find("name").textContent = `${noun} ${person}`;
  find("label").textContent = labelText(one);
  find("score").textContent = percent(score);
  find("verdict").textContent = verdict;
  find("verdict").dataset.verdict = verdict;
  find("sentence").textContent = sentence;
  find("sentence").classList.toggle("silence", one.sure === false);
  find("set").textContent = setSentence(one, level);
  find("set").hidden = one.set === null;
  fillBars(find("bars"), one);
  drawCrop(find("crop"), look.crop, isGrey, look.area);
  find("crop").setAttribute("aria-label", `${noun} ${person} as the model is given it, ${look.crop.width} pixels wide`);
  find("straight-part").hidden = !look.straight;
  if (look.straight) drawCrop(find("straight"), look.straight, isGrey);
}

// Names in the face's set are bright, the others pale.
function fillBars(list, { scores, set }) {
  const names = Object.keys(scores);
  const best = ranked(scores)[0][0];
  while (list.children.length > names.length) list.lastElementChild.remove();
  while (list.children.length < names.length) list.append(makeBar());
  names.forEach((name, n) => {
    const bar = list.children[n];
    bar.classList.toggle("best", name === best);
    bar.classList.toggle("held", set?.includes(name) ?? false);
    bar.style.setProperty("--colour", colourOf(name));
    bar.style.setProperty("--share", scores[name]);
    bar.querySelector(".bar-name").textContent = name;
    bar.querySelector(".bar-value").textContent = percent(scores[name]);
  });
}

function makeBar() {
  return document.querySelector("#score-bar").content.firstElementChild.cloneNode(true);
}

// The face as the model gets it, and the area that a spatial transformer samples.
function drawCrop(canvas, { data, width, height }, isGrey, area = null) {
  const zoom = 4;
  [canvas.width, canvas.height] = [zoom * width, zoom * height];
  const context = canvas.getContext("2d");
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  context.imageSmoothingEnabled = false;
  context.filter = isGrey ? "grayscale(1)" : "none";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  if (!area) return;
  for (const [line, style] of [[5, "rgb(20 20 20)"], [2.5, "rgb(240 228 66)"]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    area.forEach(([x, y]) => context.lineTo(zoom * x, zoom * y));
    context.closePath();
    context.stroke();
  }
}
