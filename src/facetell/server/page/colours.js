// The emotions' colours: those of draw.py, Okabe and Ito's, told apart by most colour-blind
// eyes. A word always says the same.

const COLOURS = {
  angry: [213, 94, 0],
  disgust: [0, 158, 115],
  fear: [204, 121, 167],
  happy: [240, 228, 66],
  sad: [86, 180, 233],
  surprise: [230, 159, 0],
  neutral: [200, 200, 200],
  contempt: [0, 114, 178],
};

export function colourOf(label) {
  return `rgb(${(COLOURS[label] ?? [255, 255, 255]).join(" ")})`;
}
