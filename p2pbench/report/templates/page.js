"use strict";
// Tables sort by a click on a column's name: numbers by their value, cells without one last, again turns the order.
const UNITS = { s: 1, min: 60, h: 3600, MiB: 2 ** 20, GiB: 2 ** 30 };
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const unit = /^[\d.]+ (\w+)$/.exec(text)?.[1];
    return { text, number: parseFloat(text) * (UNITS[unit] ?? 1) };
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const rows = [...body.rows].map((row) => ({ row, ...valueOf(row, column) }));
      const words = rows.every(({ number }) => Number.isNaN(number));
      const missing = ({ text, number }) => (words ? text === "" : Number.isNaN(number));
      rows.sort((a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const order = words ? a.text.localeCompare(b.text) : a.number - b.number;
        return up ? order : -order;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows.map(({ row }) => row));
    });
  });
}

// The viewer: one test pair, two of its pictures over each other, and a slider that wipes between them.
const viewer = document.getElementById("viewer");
if (viewer) {
  const { columns, samples } = JSON.parse(document.getElementById("pictures").textContent);
  const find = (name) => viewer.querySelector(`[data-part=${name}]`);
  const [left, right, slider, wipe, thumbs] = ["left", "right", "slider", "wipe", "thumbs"].map(find);
  let shown = 0;

  const side = (select, image, tag) => {
    const source = samples[shown].pictures[select.value];
    image.hidden = !source;
    if (source) image.src = source;
    const score = samples[shown].scores[select.value];
    image.alt = `${select.value} of test image ${samples[shown].name}`;
    tag.textContent = select.value + (source ? score ? ` · ${score}` : "" : ": missing");
  };
  const show = () => {
    side(left, find("left-image"), find("left-tag"));
    side(right, find("right-image"), find("right-tag"));
    find("name").textContent = `${samples[shown].why}: ${samples[shown].name} (${shown + 1} of ${samples.length})`;
    [...thumbs.children].forEach((button, index) => button.setAttribute("aria-pressed", index === shown));
    move(slider.value);
  };
  const move = (percent) => {
    slider.value = percent;
    wipe.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % ${left.value}, the rest ${right.value}`);
  };
  const step = (by) => {
    shown = (shown + by + samples.length) % samples.length;
    show();
  };

  for (const select of [left, right]) {
    select.append(...columns.map((column) => new Option(column, column)));
    select.addEventListener("change", show);
  }
  left.value = columns.length > 2 ? columns[1] : columns[0];
  right.value = columns.at(-1);
  samples.forEach((sample, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = `${sample.why}: ${sample.name}`;
    const image = document.createElement("img");
    image.src = sample.pictures.target ?? Object.values(sample.pictures)[0];
    image.alt = button.title;
    button.append(image);
    button.addEventListener("click", () => step(index - shown));
    thumbs.append(button);
  });
  find("before").addEventListener("click", () => step(-1));
  find("after").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => move(slider.value));
  const follow = (event) => {
    const box = wipe.getBoundingClientRect();
    move(Math.round((100 * (event.clientX - box.left)) / box.width));
  };
  wipe.addEventListener("pointerdown", (event) => {
    wipe.setPointerCapture(event.pointerId);
    follow(event);
  });
  wipe.addEventListener("pointermove", (event) => {
    if (wipe.hasPointerCapture(event.pointerId)) follow(event);
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return;
    const keys = { n: 1, p: -1, PageDown: 1, PageUp: -1 };
    if (event.key in keys) {
      event.preventDefault();
      step(keys[event.key]);
    }
  });
  viewer.hidden = false;
  show();
}
