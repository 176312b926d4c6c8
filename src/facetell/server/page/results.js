// Readings -> files: JSON in the shape of Python's `Reading.to_dict()`, and flat CSV rows.

// Photos have no time and their faces no person.
export function toReading({ source, size_wh, faces, model, time_s, people }) {
  const person = (n) => (time_s === null ? null : people[n]);
  const numbered = faces.map((face, n) => ({ ...face, person: person(n) }));
  return { source, size_wh, faces: numbered, model, error: null, time_s };
}

// A photo is one object; frames are one object a line, as `facetell read --json` prints.
export function toJson(readings) {
  if (readings[0]?.time_s === null) return `${JSON.stringify(readings[0], null, 2)}\n`;
  return readings.map((reading) => `${JSON.stringify(reading)}\n`).join("");
}

// One row a face; a picture without a face is a row with empty face fields.
export function toCsv(readings, labels) {
  const head = [
    "source", "time_s", "face", "person", "x1", "y1", "x2", "y2", "label", "score", "margin",
    ...labels.map((label) => `score_${label}`), "set", "sure", "warnings",
    "detector_score", "model", "error",
  ];
  const rows = readings.flatMap((reading) =>
    reading.faces.length
      ? reading.faces.map((face, n) => row(reading, face, n + 1, labels))
      : [row(reading, null, null, labels)],
  );
  return [head, ...rows].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it late
}

function row({ source, time_s, model, error }, face, number, labels) {
  const blank = Array(face ? 0 : 11 + labels.length).fill(null);
  const values = face
    ? [
        face.person, ...face.box_xyxy, face.label, face.scores[face.label], face.margin,
        ...labels.map((label) => face.scores[label]),
        face.set?.join("|"), face.sure, face.warnings.join("|"),
      ]
    : blank;
  return [source, time_s, number, ...values, face?.detector_score, model, error];
}

function cell(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  // A name that starts like a formula would be one in a spreadsheet.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
