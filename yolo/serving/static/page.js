"use strict";

const byId = (id) => document.getElementById(id);
const [file, camera, conf, above, status, view, video, found, about] = [
  "file", "camera", "conf", "above", "status", "view", "video", "found", "about",
].map(byId);

const LETTERS = 13; // pixels of the screen

// The image on show and what was found in it, so that the slider draws them again without asking the server.
let shown = null;
let stream = null;
// Counts up with each image that is asked for: an answer that comes behind a newer one is dropped.
let turn = 0;

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

// Colours that lie far from each other for neighbouring classes.
function colour(number) {
  return `hsl(${(number * 137.5) % 360} 85% 42%)`;
}

function kept() {
  return shown.detections.filter((one) => one.conf > conf.valueAsNumber);
}

function draw() {
  above.textContent = conf.valueAsNumber.toFixed(2);
  if (!shown) return;
  view.width = shown.width;
  view.height = shown.height;
  view.hidden = false;
  const context = view.getContext("2d");
  context.drawImage(shown.image, 0, 0, shown.width, shown.height);
  const unit = view.width / view.clientWidth; // of the screen: lines and letters are as large on any image
  context.lineWidth = 2 * unit;
  context.font = `${LETTERS * unit}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const one of kept().reverse()) drawOne(context, one, unit); // the most confident on top
  list();
  say(summary());
}

function drawOne(context, { xyxy: [x1, y1, x2, y2], class: number, name, conf: confidence }, unit) {
  context.strokeStyle = context.fillStyle = colour(number);
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const text = `${name} ${confidence.toFixed(2)}`;
  const height = (LETTERS + 4) * unit;
  const width = context.measureText(text).width + 4 * unit;
  const top = y1 >= height ? y1 - height : y1;
  const left = Math.max(0, Math.min(x1, view.width - width)); // whole, at the right edge too
  context.fillRect(left, top, width, height);
  context.fillStyle = "#fff";
  context.fillText(text, left + 2 * unit, top + 2 * unit);
}

function list() {
  const rows = kept().map((one) => {
    const row = document.createElement("tr");
    for (const value of [one.name, one.conf.toFixed(3), ...one.xyxy.map((place) => place.toFixed(0))]) {
      row.insertCell().textContent = value;
    }
    return row;
  });
  found.tBodies[0].replaceChildren(...rows);
  found.hidden = rows.length === 0;
}

function summary() {
  const counts = new Map();
  for (const one of kept()) counts.set(one.name, (counts.get(one.name) ?? 0) + 1);
  const words = [...counts].map(([name, count]) => `${count} × ${name}`).join(", ") || "nothing found";
  return `${words} (${shown.width} × ${shown.height}, ${shown.speed_ms.inference.toFixed(1)} ms)`;
}

class Refused extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

async function ask(blob) {
  const response = await fetch("/v1/detect", {
    method: "POST",
    body: blob,
    headers: { "Content-Type": blob.type || "application/octet-stream" },
  });
  const answer = await response.json();
  if (response.ok) return answer;
  throw new Refused(answer.error.message, Number(response.headers.get("Retry-After")) || 0);
}

async function look(blob) {
  const mine = ++turn;
  say("Looking …");
  try {
    const [image, answer] = await Promise.all([createImageBitmap(blob), ask(blob)]);
    if (mine !== turn) return;
    shown = { ...answer, image };
    draw();
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    say("A browser gives a page the camera only on this machine (localhost) or over HTTPS.", true);
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`, true);
    return;
  }
  video.srcObject = stream;
  await video.play();
  camera.textContent = "Stop camera";
  watch(++turn);
}

function stopCamera() {
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  video.srcObject = null;
  camera.textContent = "Start camera";
}

// One frame after the other: the next is taken when the last one is answered.
async function watch(mine) {
  const frame = document.createElement("canvas");
  while (stream && mine === turn) {
    frame.width = video.videoWidth;
    frame.height = video.videoHeight;
    frame.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => frame.toBlob(done, "image/jpeg", 0.85));
    try {
      const answer = await ask(blob);
      if (!stream || mine !== turn) break;
      shown = { ...answer, image: await createImageBitmap(frame) };
      draw();
    } catch (error) {
      if (mine === turn) say(error.message, true);
      await new Promise((done) => setTimeout(done, 1000 * Math.max(1, error.seconds ?? 0)));
    }
  }
  if (stream && mine !== turn) stopCamera();
}

async function start() {
  const model = await (await fetch("/v1/model")).json();
  conf.min = model.conf;
  conf.value = model.conf;
  const [height, width] = model.imgsz;
  about.textContent = `${Object.keys(model.names).length} classes, ${width} × ${height} pixels`;
  draw();
}

file.addEventListener("change", () => {
  if (file.files.length) look(file.files[0]);
  file.value = ""; // the same file may be chosen again
});
camera.addEventListener("click", () => (stream ? (++turn, stopCamera()) : startCamera()));
conf.addEventListener("input", draw);
window.addEventListener("resize", draw);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", () => document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const [dropped] = event.dataTransfer.files;
  if (dropped) look(dropped);
});
document.addEventListener("paste", (event) => {
  const [pasted] = event.clipboardData.files;
  if (pasted) look(pasted);
});
start();
