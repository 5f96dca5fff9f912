"use strict";
// Tables sort by a click on a column's name: numbers by their value, cells without one last, again turns the order.
const UNITS = { s: 1, min: 60, h: 3600, MiB: 2 ** 20, GiB: 2 ** 30 };
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const unit = /^[\d.]+ (\w+)$/.exec(text)?.[1];
    return { text, number: parseFloat(cell.dataset.value ?? text.replace("−", "-")) * (UNITS[unit] ?? 1) };
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

for (const box of document.querySelectorAll("[data-part=intervals]")) {
  box.addEventListener("change", () => document.body.classList.toggle("intervals", box.checked));
}

// Above a table that is wider than its box: how many of its columns are out of sight.
for (const box of document.querySelectorAll(".scroll")) {
  const said = box.previousElementSibling;
  if (!said?.classList.contains("more")) continue;
  const heads = [...(box.querySelector("thead tr")?.cells ?? [])].slice(1);
  const count = () => {
    const frame = box.getBoundingClientRect();
    const first = box.querySelector("thead tr > *").getBoundingClientRect();
    const places = heads.map((head) => head.getBoundingClientRect());
    const right = places.filter((place) => place.right > frame.right + 8).length;
    const left = places.filter((place) => place.left < first.right - 8).length;
    said.hidden = box.scrollWidth <= box.clientWidth + 1;
    const sides = [left && `← ${left}`, right && `${right} →`].filter(Boolean).join(" and ");
    said.textContent = `${sides} of ${heads.length} columns out of sight`;
  };
  box.addEventListener("scroll", count, { passive: true });
  new ResizeObserver(count).observe(box);
}

// The viewer: one test pair of the sheet, two of its pictures over each other, and a slider that wipes between them.
const viewer = document.getElementById("viewer");
if (viewer) {
  const samples = [];
  const buttons = [...document.querySelectorAll("#sheet button")];
  const columns = [...new Set(buttons.map((button) => button.dataset.title))];
  const rank = (title) => ({ condition: 0, target: 2 })[title] ?? 1;
  columns.sort((a, b) => rank(a) - rank(b));
  for (const button of buttons) {
    const sample = (samples[button.dataset.pair] ??= { pictures: {}, scores: {} });
    sample.pictures[button.dataset.title] = button.querySelector("img").src;
    sample.scores[button.dataset.title] = button.parentElement.querySelector("figcaption span")?.textContent;
    sample.name = button.closest(".pair").querySelector("h3").textContent.replace(/\s+/, ": ");
  }
  const find = (name) => viewer.querySelector(`[data-part=${name}]`);
  const [left, right, slider, wipe, thumbs] = ["left", "right", "slider", "wipe", "thumbs"].map(find);
  let shown = 0;

  const put = (image, title) => {
    const source = samples[shown].pictures[title];
    image.hidden = !source;
    if (source) image.src = source;
    image.alt = `${title} of test image ${samples[shown].name}`;
    return source;
  };
  const side = (select, image, tag) => {
    const score = samples[shown].scores[select.value];
    tag.textContent = select.value + (put(image, select.value) ? score ? ` · ${score}` : "" : ": missing");
  };
  const show = () => {
    side(left, find("left-image"), find("left-tag"));
    side(right, find("right-image"), find("right-tag"));
    for (const title of ["condition", "target"]) put(find(title), title);
    find("name").textContent = `${samples[shown].name} (${shown + 1} of ${samples.length})`;
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
    button.title = sample.name;
    const image = document.createElement("img");
    image.src = sample.pictures.target ?? Object.values(sample.pictures)[0];
    image.alt = sample.name;
    button.append(image);
    button.addEventListener("click", () => step(index - shown));
    thumbs.append(button);
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { title, pair } = button.dataset;
      if (title === "target") right.value = title;
      else left.value = title;
      shown = Number(pair);
      show();
      viewer.scrollIntoView({ block: "nearest" });
      slider.focus({ preventScroll: true });
    });
  }
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
