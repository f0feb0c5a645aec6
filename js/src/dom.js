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
 * Make `old` equal to `fresh` with few changes: focus, selection and scroll positions outlive an update.
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
  while (old.childNodes.length > children.length) old.lastChild?.remove();
  children.forEach((child, at) => {
    const known = old.childNodes[at];
    if (known === undefined) old.append(child);
    else if (known.nodeName !== child.nodeName || known.nodeType !== child.nodeType) known.replaceWith(child);
    else if (known.nodeType === 3) {
      if (known.nodeValue !== child.nodeValue) known.nodeValue = child.nodeValue;
    } else morph(/** @type {Element} */ (known), /** @type {Element} */ (child));
  });
}
