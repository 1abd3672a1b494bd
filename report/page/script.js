"use strict";
// Values on hover, on touch and by arrow keys; copy buttons. All is readable
// without this.
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

function element(name, text, ...classes) {
  const e = document.createElement(name);
  e.textContent = text;
  e.classList.add(...classes);
  return e;
}

function place(x, y) {
  const box = tip.getBoundingClientRect();
  let left = x + 14, top = y + 14;
  if (left + box.width > innerWidth - 8) left = x - 14 - box.width;
  if (top + box.height > innerHeight - 8) top = y - 14 - box.height;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = Math.max(8, top) + "px";
}

function watch(figure) {
  const svg = figure.querySelector(".canvas svg");
  const canvas = figure.querySelector(".canvas");
  const marks = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  if (!marks.length) return;
  let rings = [], at = -1;

  function hide() {
    rings.forEach((r) => r.remove());
    rings = [];
    tip.hidden = true;
  }

  // show displays a mark and all others of its panel and group.
  function show(near, x, y) {
    hide();
    tip.replaceChildren(element("b", near.g));
    for (const m of marks) {
      if (m.p !== near.p || m.g !== near.g) continue;
      const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      ring.setAttribute("cx", m.x);
      ring.setAttribute("cy", m.y);
      ring.setAttribute("r", 6);
      ring.setAttribute("class", m === near ? "at near" : "at");
      svg.append(ring);
      rings.push(ring);
      const row = element("div", "", ...(m === near ? ["near"] : []));
      row.append(element("span", m.s), element("span", m.v));
      tip.append(row);
    }
    tip.hidden = false;
    place(x, y);
  }

  function nearest(event) {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = 0, least = Infinity;
    marks.forEach((m, i) => {
      const d = Math.hypot(m.x - p.x, m.y - p.y);
      if (d < least) [best, least] = [i, d];
    });
    return best;
  }

  function point(event) {
    at = nearest(event);
    show(marks[at], event.clientX, event.clientY);
  }

  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("scroll", hide);
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    at = (at + by + marks.length) % marks.length;
    const m = marks[at];
    const p = new DOMPoint(m.x, m.y).matrixTransform(svg.getScreenCTM());
    show(m, p.x, p.y);
  });
}

document.querySelectorAll("figure").forEach(watch);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

for (const box of document.querySelectorAll(".copy")) {
  const button = element("button", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    const code = box.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
  box.append(button);
}
