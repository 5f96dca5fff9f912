// A drawing of hard-edged pixels: a blend of two labels would be a label of neither.

const STEPS = 30;
const TOLERANCE = 40; // what fill takes for one colour, since JPEG has blurred the examples' labels a little

export class Drawing {
  // `changed` is called after each change, with whether it may be one of many (a stroke that goes on).
  constructor(canvas, cursor, changed) {
    this.canvas = canvas;
    this.cursor = cursor;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    this.tool = "brush";
    this.colour = "#000000";
    this.ground = "#ffffff";
    this.radius = 6;
    this.history = [];
    this.at = -1;
    this.point = null;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#up());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#showCursor());
    canvas.addEventListener("blur", () => (cursor.hidden = true));
  }

  // Begin anew from an image, or from the ground where there is none.
  load(width, height, image, grey) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.context.fillStyle = image ? "#ffffff" : this.ground;
    this.context.fillRect(0, 0, width, height);
    if (image) this.context.drawImage(image, 0, 0, width, height);
    if (grey) this.#toGrey();
    this.history = [];
    this.at = -1;
    this.#remember();
    this.place = [width / 2, height / 2].map(Math.floor);
  }

  clear() {
    this.context.fillStyle = this.ground;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.#done();
  }

  undo(steps = 1) {
    const to = Math.min(Math.max(this.at - steps, 0), this.history.length - 1);
    if (to === this.at) return;
    this.at = to;
    this.context.putImageData(this.history[to], 0, 0);
    this.changed(false);
  }

  get canUndo() { return this.at > 0; }
  get canRedo() { return this.at < this.history.length - 1; }
  get untouched() { return this.at === 0 && this.whole; }

  #remember() {
    this.history = this.history.slice(0, this.at + 1);
    this.history.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    this.whole = this.history.length <= STEPS && (this.whole || this.at < 0);
    if (this.history.length > STEPS) this.history.shift();
    this.at = this.history.length - 1;
  }

  #done() {
    this.#remember();
    this.changed(false);
  }

  #where(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height); // object-fit: contain
    const left = box.left + (box.width - this.canvas.width * scale) / 2;
    const top = box.top + (box.height - this.canvas.height * scale) / 2;
    return [Math.floor((event.clientX - left) / scale), Math.floor((event.clientY - top) / scale)];
  }

  #down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor.hidden = true;
    this.point = this.from = this.#where(event);
    this.place = this.point;
    if (this.tool === "fill") this.#fill(...this.point);
    else if (this.tool !== "box") this.#line(this.point, this.point);
    this.changed(true);
  }

  #move(event) {
    if (!this.point || this.tool === "fill") return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const to = this.#where(one);
      if (this.tool === "box") this.#box(this.from, to);
      else this.#line(this.point, to);
      this.point = to;
    }
    this.changed(true);
  }

  #up() {
    if (!this.point) return;
    this.place = this.point;
    this.point = null;
    this.#done();
  }

  #key(event) {
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(this.radius));
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      const limits = [this.canvas.width - 1, this.canvas.height - 1];
      this.place = this.place.map((value, axis) => Math.min(Math.max(value + move[axis], 0), limits[axis]));
    } else if (event.key === " " || event.key === "Enter") {
      if (this.tool === "fill") this.#fill(...this.place);
      else this.#line(this.place, this.place);
      this.#done();
    } else return;
    event.preventDefault();
    this.#showCursor();
  }

  #showCursor() {
    if (!this.canvas.matches(":focus-visible")) return;
    const box = this.canvas.getBoundingClientRect();
    const stage = this.canvas.parentElement.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const side = `${Math.max(10, 2 * this.radius * scale)}px`;
    Object.assign(this.cursor.style, {
      left: `${box.left - stage.left + (box.width - this.canvas.width * scale) / 2 + (this.place[0] + 0.5) * scale}px`,
      top: `${box.top - stage.top + (box.height - this.canvas.height * scale) / 2 + (this.place[1] + 0.5) * scale}px`,
      width: side, height: side,
    });
    this.cursor.hidden = false;
  }

  get #ink() { return this.tool === "eraser" ? this.ground : this.colour; }

  #line([x0, y0], [x1, y1]) {
    this.context.fillStyle = this.#ink;
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0)));
    for (let step = 0; step <= steps; step++) {
      this.#disc(Math.round(x0 + ((x1 - x0) * step) / steps), Math.round(y0 + ((y1 - y0) * step) / steps));
    }
  }

  #disc(x, y) {
    const r = this.radius / 2;
    for (let dy = -Math.floor(r); dy <= r; dy++) {
      const half = Math.floor(Math.sqrt(r * r - dy * dy));
      this.context.fillRect(x - half, y + dy, 2 * half + 1, 1);
    }
  }

  #box([x0, y0], [x1, y1]) {
    this.context.putImageData(this.history[this.at], 0, 0);
    this.context.fillStyle = this.#ink;
    this.context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0) + 1, Math.abs(y1 - y0) + 1);
  }

  #fill(x, y) {
    const { width, height } = this.canvas;
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const image = this.context.getImageData(0, 0, width, height);
    const old = new Uint8ClampedArray(image.data);
    const ink = [1, 3, 5].map((start) => parseInt(this.#ink.slice(start, start + 2), 16));
    const first = 4 * (y * width + x);
    const same = (at) => Math.abs(old[at] - old[first]) + Math.abs(old[at + 1] - old[first + 1]) + Math.abs(old[at + 2] - old[first + 2]) <= TOLERANCE;
    const seen = new Uint8Array(width * height);
    const todo = [y * width + x];
    seen[todo[0]] = 1;
    while (todo.length) {
      const at = todo.pop();
      image.data.set(ink, 4 * at);
      const column = at % width;
      for (const [next, inside] of [[at - 1, column > 0], [at + 1, column < width - 1], [at - width, at >= width], [at + width, at < width * (height - 1)]]) {
        if (inside && !seen[next] && same(4 * next)) {
          seen[next] = 1;
          todo.push(next);
        }
      }
    }
    this.context.putImageData(image, 0, 0);
  }

  #toGrey() {
    const image = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let at = 0; at < image.data.length; at += 4) {
      const [red, green, blue] = image.data.subarray(at, at + 3);
      image.data.fill((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16, at, at + 3); // Rec. 601
    }
    this.context.putImageData(image, 0, 0);
  }
}
