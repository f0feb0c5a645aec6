// Building and patching the document. Text only ever becomes a text node, so nothing from outside is markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Record<string, string | number | undefined>} Attributes
 * @typedef {(Node | string | null)[]} Children
 */

/**
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {Children} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(tag), attributes, children));
}

/**
 * Name a section that comes and goes, or stands beside one.
 * @template {HTMLElement | null} T
 * @param {string} key
 * @param {T} element
 */
export function keyed(key, element) {
  element?.setAttribute("data-key", key);
  return element;
}

/**
 * @param {string} tag
 * @param {Attributes} attributes
 * @param {Children} children
 */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {Children} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) {
    if (child !== null) element.append(child);
  }
  return element;
}

/**
 * Make `old` equal to `fresh` with few changes: focus, selection, scroll positions and a click under way outlive an update. A child
 * with a `data-key` stays the same element whatever comes or goes beside it; others are told by their place.
 * @param {Element} old
 * @param {Element} fresh
 */
export function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const children = [...fresh.childNodes];
  const wanted = new Set(children.map(keyOf));
  for (const child of [...old.childNodes]) if (!wanted.has(keyOf(child))) child.remove();
  const known = new Map([...old.childNodes].map((child) => [keyOf(child), child]));
  let next = old.firstChild;
  for (const child of children) {
    const key = keyOf(child);
    const kept = key && known.get(key);
    if (kept) {
      while (next && !keyOf(next)) next = removed(next);
      if (kept !== next) old.insertBefore(kept, next);
      else next = next.nextSibling;
      known.delete(key);
      patch(kept, child);
    } else if (!key && next && !keyOf(next)) {
      const place = next;
      next = next.nextSibling;
      patch(place, child);
    } else old.insertBefore(child, next);
  }
  while (next) next = removed(next);
  setByHand(old, fresh);
}

/** @param {Node} node */
const keyOf = (node) => (node.nodeType === 1 && /** @type {Element} */ (node).getAttribute("data-key")) || "";

/** @param {ChildNode} node */
function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/**
 * @param {ChildNode} old
 * @param {ChildNode} fresh
 */
function patch(old, fresh) {
  if (old.nodeName !== fresh.nodeName) old.replaceWith(fresh);
  else if (old.nodeType === 1) morph(/** @type {Element} */ (old), /** @type {Element} */ (fresh));
  else if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
}

/**
 * What a person has set follows attributes no more.
 * @param {Element} old
 * @param {Element} fresh
 */
function setByHand(old, fresh) {
  const name = fresh.nodeName === "INPUT" ? "value" : fresh.nodeName === "OPTION" ? "selected" : "";
  const [there, wanted] = /** @type {any[]} */ ([old, fresh]);
  if (name && there[name] !== wanted[name]) there[name] = wanted[name];
}
