"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const stage = byId("stage"), search = byId("search"), hits = byId("hits"), details = byId("details");
  const MOST_HITS = 50, LEAST_SCALE = 0.02, MOST_SCALE = 8, STEP = 60;

  // Each view: its picture, the element of each box, and the box of each node.
  const views = {};
  for (const layer of stage.querySelectorAll(".layer")) {
    const name = layer.dataset.view, picture = layer.querySelector("svg"), boxOf = [];
    data.views[name].boxes.forEach((members, box) => members.forEach((node) => { boxOf[node] = box; }));
    const elements = [];
    for (const element of picture.querySelectorAll(".node")) elements[Number(element.dataset.box)] = element;
    picture.setAttribute("preserveAspectRatio", "xMinYMin meet");
    picture.setAttribute("aria-hidden", "true");
    views[name] = { layer, picture, elements, boxOf, boxes: data.views[name].boxes, edges: data.views[name].edges,
      at: null };
  }
  let current = Object.keys(views)[0];
  let chosen = null, hit = null, type = null;

  // ---- the part of a picture that is seen: its left upper corner and pixels per unit

  const view = () => views[current];

  function bounds() {
    const box = view().picture.querySelector(".view").getBBox();
    return { x: box.x - 16, y: box.y - 16, width: box.width + 32, height: box.height + 32 };
  }

  function look(x, y, scale) {
    scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, scale));
    const width = Math.max(1, stage.clientWidth), height = Math.max(1, stage.clientHeight), area = bounds();
    // some of the graph always stays in sight
    const keep = 40 / scale;
    x = Math.min(area.x + area.width - keep, Math.max(area.x + keep - width / scale, x));
    y = Math.min(area.y + area.height - keep, Math.max(area.y + keep - height / scale, y));
    view().at = { x, y, scale };
    view().picture.setAttribute("viewBox", `${x} ${y} ${width / scale} ${height / scale}`);
    byId("scale").textContent = `${Math.round(100 * scale)} %`;
  }

  function fit() {
    const area = bounds(), top = 48;
    const width = Math.max(1, stage.clientWidth), height = Math.max(1, stage.clientHeight - top);
    const scale = Math.min(width / area.width, height / area.height, 1.6);
    look(area.x - (width / scale - area.width) / 2, area.y - top / scale, scale);
  }

  function zoom(factor, left = stage.clientWidth / 2, top = stage.clientHeight / 2) {
    const { x, y, scale } = view().at;
    const next = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, scale * factor));
    look(x + left / scale - left / next, y + top / scale - top / next, next);
  }

  function pan(dx, dy) {
    const { x, y, scale } = view().at;
    look(x + dx / scale, y + dy / scale, scale);
  }

  function centre(box) {
    const rect = view().elements[box].querySelector("rect");
    const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
    const scale = Math.max(view().at.scale, 1);
    look(x + width / 2 - stage.clientWidth / 2 / scale, y + height / 2 - stage.clientHeight / 2 / scale, scale);
  }

  // ---- choosing a node

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function nodeName(node) {
    const { type, source, parameters } = data.nodes[node];
    return `${type} ${parameters.length ? data.parameters[parameters[0]].name : source}`;
  }

  const percent = (share) => share === null ? "unknown" : `${(100 * share).toFixed(share < 0.001 ? 4 : 2)} %`;

  function parameterCard(index) {
    const parameter = data.parameters[index];
    const card = element("div", index === hit ? "parameter hit" : "parameter");
    card.dataset.parameter = parameter.name;
    card.append(element("h4", "", parameter.name));
    const list = element("dl");
    const rows = [
      ["shape", parameter.shape ?? "unknown"],
      ["parameters", parameter.count === null ? "unknown" : parameter.count.toLocaleString("en")],
      ["share", percent(parameter.share)],
      ["values", parameter.how],
    ];
    if (parameter.also.length) rows.push(["also", parameter.also.join(", ")]);
    for (const [name, value] of rows) {
      const shown = element("dd", name === "values" ? parameter.fate : "", value);
      shown.dataset.fact = name;
      list.append(element("dt", "", name), shown);
    }
    card.append(list);
    return card;
  }

  function links(title, nodes) {
    const line = element("p", "links");
    line.append(`${title} `);
    for (const node of nodes.slice(0, 60)) {
      const button = element("button", "", nodeName(node));
      button.type = "button";
      button.dataset.node = node;
      if (node === chosen) button.setAttribute("aria-current", "true");
      line.append(button);
    }
    if (nodes.length > 60) line.append(`and ${nodes.length - 60} more`);
    return line;
  }

  function show() {
    details.replaceChildren();
    if (chosen === null && hit === null) {
      details.append(element("p", "hint", "Click a node, or search for a parameter."));
      return;
    }
    if (chosen === null) {
      details.append(element("p", "source", "This parameter has no node in the graph."), parameterCard(hit));
      return;
    }
    const node = data.nodes[chosen], members = view().boxes[view().boxOf[chosen]];
    const heading = element("h3", "", node.type);
    heading.append(element("span", "hint", ` · ${node.words}`));
    details.append(heading, element("p", "source", node.window ? `${node.source}, window ${node.window}` : node.source));
    for (const parameter of node.parameters) details.append(parameterCard(parameter));
    if (!node.parameters.length) details.append(element("p", "hint", "An operation without parameters."));
    if (members.length > 1) details.append(links(`This box stands for ${members.length} nodes:`, members));
    const from = data.edges.filter((edge) => edge[1] === chosen).map((edge) => edge[0]);
    const to = data.edges.filter((edge) => edge[0] === chosen).map((edge) => edge[1]);
    if (from.length) details.append(links("Reads", from));
    if (to.length) details.append(links("Is read by", to));
  }

  function mark() {
    const { picture, elements, boxOf } = view();
    for (const old of picture.querySelectorAll(".chosen")) old.classList.remove("chosen");
    if (chosen === null) return;
    const box = String(boxOf[chosen]);
    elements[box].classList.add("chosen");
    for (const edge of picture.querySelectorAll(".edge")) {
      edge.classList.toggle("chosen", edge.dataset.from === box || edge.dataset.to === box);
    }
  }

  function choose(node, parameter = null, move = false) {
    chosen = node;
    hit = parameter;
    mark();
    show();
    if (move && node !== null) centre(view().boxOf[node]);
  }

  function nextNode(step) {
    const { boxes, boxOf } = view();
    const box = chosen === null ? (step > 0 ? 0 : boxes.length - 1) : boxOf[chosen] + step;
    if (box >= 0 && box < boxes.length) choose(boxes[box][0], null, true);
  }

  function showType(wanted) {
    type = type === wanted ? null : wanted;
    for (const button of document.querySelectorAll(".type")) {
      button.setAttribute("aria-pressed", String(button.dataset.type === type));
    }
    for (const { picture, elements } of Object.values(views)) {
      picture.classList.toggle("typed", type !== null);
      for (const node of elements) node.classList.toggle("of-type", node.dataset.type === type);
    }
  }

  function turn(name) {
    view().layer.hidden = true;
    current = name;
    view().layer.hidden = false;
    const button = byId("fold");
    if (button) button.setAttribute("aria-pressed", String(name === "folded"));
    fit();
    mark();
    show();
    if (chosen !== null) centre(view().boxOf[chosen]);
  }

  const fold = () => { if (views.folded) turn(current === "folded" ? "whole" : "folded"); };

  // ---- search

  let found = [], active = -1;

  function matching(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const all = [];
    data.parameters.forEach((parameter, index) => {
      const names = [parameter.name, ...parameter.also].map((name) => name.toLowerCase());
      if (names.some((name) => words.every((word) => name.includes(word)))) all.push(index);
    });
    // a whole name comes first, then names that begin with the text
    const whole = text.trim().toLowerCase();
    const rank = (index) => {
      const name = data.parameters[index].name.toLowerCase();
      return name === whole ? 0 : name.startsWith(whole) ? 1 : 2;
    };
    return all.sort((one, other) => rank(one) - rank(other) || one - other);
  }

  function list() {
    found = matching(search.value);
    active = found.length ? 0 : -1;
    hits.replaceChildren();
    found.slice(0, MOST_HITS).forEach((index, place) => {
      const { name, shape } = data.parameters[index];
      const item = element("li", "", name);
      item.id = `hit-${place}`;
      item.setAttribute("role", "option");
      if (shape) item.append(element("span", "shape", shape));
      hits.append(item);
    });
    const open = found.length > 0;
    hits.hidden = !open;
    search.setAttribute("aria-expanded", String(open));
    const shown = found.length > MOST_HITS ? `${found.length} parameters, the first ${MOST_HITS} are listed`
      : found.length === 1 ? "1 parameter" : `${found.length} parameters`;
    byId("found").textContent = !search.value.trim() ? "" : open ? shown : "No parameter is named like this.";
    activate(active);
  }

  function activate(place) {
    active = place;
    [...hits.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === place)));
    if (place < 0) search.removeAttribute("aria-activedescendant");
    else {
      search.setAttribute("aria-activedescendant", `hit-${place}`);
      hits.children[place].scrollIntoView({ block: "nearest" });
    }
  }

  function close() {
    hits.hidden = true;
    search.setAttribute("aria-expanded", "false");
    search.removeAttribute("aria-activedescendant");
  }

  function take(place) {
    const index = found[place], parameter = data.parameters[index];
    close();
    choose(parameter.nodes.length ? parameter.nodes[0] : null, index, true);
  }

  search.addEventListener("input", list);
  search.addEventListener("focus", () => { if (search.value) list(); });
  search.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== search) close(); }, 150));
  search.addEventListener("keydown", (event) => {
    const count = Math.min(found.length, MOST_HITS);
    if (event.key === "ArrowDown" && count) activate((active + 1) % count);
    else if (event.key === "ArrowUp" && count) activate((active + count - 1) % count);
    else if (event.key === "Enter" && active >= 0) take(active);
    else if (event.key === "Escape") { search.value = ""; list(); stage.focus(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  hits.addEventListener("pointerdown", (event) => {
    const item = event.target.closest("li");
    if (!item) return;
    event.preventDefault();
    take([...hits.children].indexOf(item));
  });

  // ---- pointer, wheel, buttons, keys

  const pointers = new Map();
  let travelled = 0, spread = 0;

  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    travelled = 0;
    spread = 0;
  });
  window.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before[0], dy = event.clientY - before[1];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    travelled += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 1 && travelled > 3) {
      stage.classList.add("moving");
      pan(-dx, -dy);
    } else if (pointers.size === 2) {
      const [[ax, ay], [bx, by]] = pointers.values(), area = stage.getBoundingClientRect();
      const distance = Math.hypot(ax - bx, ay - by);
      if (spread) zoom(distance / spread, (ax + bx) / 2 - area.left, (ay + by) / 2 - area.top);
      spread = distance;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      stage.classList.remove("moving");
      spread = 0;
    });
  }
  stage.addEventListener("click", (event) => {
    if (travelled > 3) return;
    const node = event.target.closest(".node");
    if (node) choose(view().boxes[Number(node.dataset.box)][0]);
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = stage.getBoundingClientRect(), lines = event.deltaMode === 1 ? 30 : 1;
    const strength = Math.max(-240, Math.min(240, event.deltaY * lines));
    zoom(Math.exp(-strength / 400), event.clientX - area.left, event.clientY - area.top);
  }, { passive: false });

  byId("in").addEventListener("click", () => zoom(1.3));
  byId("out").addEventListener("click", () => zoom(1 / 1.3));
  byId("fit").addEventListener("click", fit);
  if (byId("fold")) byId("fold").addEventListener("click", fold);
  for (const button of document.querySelectorAll(".type")) {
    button.addEventListener("click", () => showType(button.dataset.type));
  }
  details.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-node]");
    if (!button) return;
    choose(Number(button.dataset.node), null, true);
    stage.focus({ preventScroll: true });
  });

  const keys = {
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), "0": fit, "f": fold,
    "n": () => nextNode(1), "p": () => nextNode(-1),
    "/": () => { search.focus(); search.select(); },
    "Escape": () => { choose(null); if (type !== null) showType(type); },
  };
  const arrows = {
    ArrowLeft: () => pan(-STEP, 0), ArrowRight: () => pan(STEP, 0),
    ArrowUp: () => pan(0, -STEP), ArrowDown: () => pan(0, STEP),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === search) return;
    // arrows scroll the page unless the graph has the focus
    const action = keys[event.key] ?? (event.target === stage ? arrows[event.key] : undefined);
    if (!action) return;
    event.preventDefault();
    action();
  });
  new ResizeObserver(() => {
    const at = view().at;
    if (at) look(at.x, at.y, at.scale);
  }).observe(stage);

  fit();
})();
